//! Writes zip files (APPNOTE 6.3.10) whose entries are stored and not compressed: the same entries give the same bytes.

/// Signatures of a local header, of an entry of the directory, and of the directory's end.
const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
/// 1.0: the oldest version that can unpack this.
const NEEDED: u16 = 10;
/// Unix, so that the permissions mean something.
const MADE_BY: u16 = (3 << 8) | NEEDED;
/// 1 January 1980, the first day there is: a date of today would make other bytes tomorrow.
const DATE: u16 = 0x21;
/// A plain file, for everybody to read.
const MODE: u32 = 0o100_644 << 16;

/// The zip file with these names and contents, in this order. Names are ASCII with slashes.
///
/// # Panics
///
/// Where a name, a file or the whole is too large for the format, which embedded pages are not.
pub(super) fn stored<'a>(entries: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let (mut file, mut directory, mut count) = (Vec::new(), Vec::new(), 0_u16);
    for (name, content) in entries {
        let at = fits::<u32>(file.len());
        put(&mut file, LOCAL.to_le_bytes());
        describe(&mut file, name, content);
        file.extend_from_slice(name.as_bytes());
        file.extend_from_slice(content);

        put(&mut directory, CENTRAL.to_le_bytes());
        put(&mut directory, MADE_BY.to_le_bytes());
        describe(&mut directory, name, content);
        // No comment, on the first disk, neither text nor binary.
        put(&mut directory, [0; 6]);
        put(&mut directory, MODE.to_le_bytes());
        put(&mut directory, at.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
        count += 1;
    }
    let (at, size) = (fits::<u32>(file.len()), fits::<u32>(directory.len()));
    file.append(&mut directory);
    put(&mut file, END.to_le_bytes());
    put(&mut file, [0; 4]);
    put(&mut file, count.to_le_bytes());
    put(&mut file, count.to_le_bytes());
    put(&mut file, size.to_le_bytes());
    put(&mut file, at.to_le_bytes());
    put(&mut file, [0; 2]);
    file
}

/// What stands in both headers of an entry, up to and with the length of what is extra.
fn describe(to: &mut Vec<u8>, name: &str, content: &[u8]) {
    let size = fits::<u32>(content.len()).to_le_bytes();
    put(to, NEEDED.to_le_bytes());
    // No flags, stored, at midnight.
    put(to, [0; 6]);
    put(to, DATE.to_le_bytes());
    put(to, crc32(content).to_le_bytes());
    put(to, size);
    put(to, size);
    put(to, fits::<u16>(name.len()).to_le_bytes());
    put(to, [0; 2]);
}

fn put<const N: usize>(to: &mut Vec<u8>, bytes: [u8; N]) {
    to.extend_from_slice(&bytes);
}

fn fits<T: TryFrom<usize>>(size: usize) -> T {
    T::try_from(size)
        .ok()
        .expect("embedded pages are some kilobytes")
}

/// The checksum of zip, gzip and Ethernet (ISO 3309), bits in reverse order.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let byte = |crc: u32, byte: &u8| {
        let at = (crc ^ u32::from(*byte)) & 0xff;
        (crc >> 8) ^ TABLE[at as usize]
    };
    !bytes.iter().fold(!0, byte)
}

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut value = at as u32;
        let mut bit = 0;
        while bit < 8 {
            let low = value & 1;
            value = (value >> 1) ^ (low * 0xedb8_8320);
            bit += 1;
        }
        table[at] = value;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    /// Made by Info-ZIP 3.0 of a file `a/b` of 1 January 1980 with mode 644, by `zip -X -0`; but made by version 1.0 here.
    #[test]
    fn a_file_is_packed_as_other_programs_pack_it() {
        let local = "504b03040a0000000000000021007a7a6fed030000000300000003000000612f6268690a";
        let central = "504b01020a030a0000000000000021007a7a6fed0300000003000000030000000000000000000000a48100000000612f62";
        let end = "504b0506000000000100010031000000240000000000";
        let hex: String = stored([("a/b", b"hi\n".as_slice())])
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, format!("{local}{central}{end}"));
    }

    #[test]
    fn the_same_entries_give_the_same_bytes() {
        let entries: [(&str, &[u8]); 2] = [("a", b"one"), ("b", b"two")];
        assert_eq!(stored(entries), stored(entries));
    }
}
