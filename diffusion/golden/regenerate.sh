#!/bin/sh
# Makes all fixtures of diffusion/tests/fixtures anew from pinned Python packages.
#
# usage: regenerate.sh [OUT]     OUT defaults to diffusion/tests/fixtures; it is replaced only after every check passed
# PYTHON names the interpreter (3.11). The virtual environment (about 5 GB) stays in .venv for the next run;
# FRESH=1 makes it anew, VENV_ONLY=1 stops once it is there. One thread, a few minutes after the packages are there.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../tests/fixtures}
venv=$here/.venv
build=$here/.build
stamp=$venv/requirements.txt

install() {
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-compile "$@"
}

if [ "${FRESH:-0}" = 1 ] || ! cmp -s "$here/requirements.txt" "$stamp"; then
    rm -rf "$venv"
    "${PYTHON:-python3.11}" -m venv "$venv"
    sed '/^# alone$/,$d' "$here/requirements.txt" > "$venv/resolved.txt"
    sed '1,/^# alone$/d; /^# later$/,$d' "$here/requirements.txt" > "$venv/alone.txt"
    sed '1,/^# later$/d' "$here/requirements.txt" > "$venv/later.txt"
    install -r "$venv/resolved.txt"
    install --no-deps -r "$venv/alone.txt"
    install --no-deps --target "$venv/later" -r "$venv/later.txt"
    cp "$here/requirements.txt" "$stamp"
fi

[ "${VENV_ONLY:-0}" = 1 ] && exit

export OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 PYTHONWARNINGS=ignore PYTHONDONTWRITEBYTECODE=1
python=$venv/bin/python
rm -rf "$build"
mkdir -p "$build/golden"
cd "$here"
"$python" models.py "$build/models"
for subject in modules lora lora_names ip_adapter blending similar_image streams; do
    "$python" "$subject.py" "$build/models" "$build/golden/$subject"
done
PYTHONPATH=$venv/later "$python" ip_adapter_plus.py "$build/models" "$build/golden/ip_adapter"
if [ -e processors.py ]; then
    "$python" processors.py "$build/golden"
fi

mkdir -p "$out"
rm -rf "$out/models" "$out/golden"
mv "$build/models" "$build/golden" "$out/"
rmdir "$build"
du -sk "$out/models" "$out/golden"
