//! `AutoencoderTiny` and `AutoencoderKL`.

use reverie_diffusion::device::Placement;
use reverie_diffusion::vae::Vae;

use crate::golden::{Golden, MODULE, model};

fn load(folder: &str) -> Vae {
    let (vae, report) = Vae::load(&model(folder), Placement::CPU).unwrap();
    assert_eq!(report.unused, [], "{folder}");
    vae
}

#[test]
fn the_tiny_autoencoder_gives_the_latents_and_pictures_of_the_original() {
    for (name, scale) in [("taesd", 8), ("taesd_small", 4)] {
        let vae = load(name);
        assert_eq!(vae.scale(), scale);
        for size in ["4x4", "3x5"] {
            let golden = Golden::read(&format!("modules/{name}_{size}"));
            golden.check("e", &vae.encode(golden.tensor("im")), MODULE);
            golden.check("y", &vae.decode(golden.tensor("z")), MODULE);
        }
    }
}

#[test]
fn the_kl_autoencoder_gives_the_moments_and_pictures_of_the_original() {
    for (name, scale, factor) in [
        ("sd15", 4, 0.18215),
        ("sd21", 8, 0.18215),
        ("turbo", 4, 0.18215),
        ("sdxl", 4, 0.13025),
    ] {
        let vae = load(&format!("{name}/vae"));
        assert_eq!(vae.scale(), scale);
        let Vae::KL(kl) = &vae else {
            panic!("{name} has an AutoencoderKL");
        };
        for size in ["4x4", "3x5"] {
            let golden = Golden::read(&format!("modules/kl_{name}_{size}"));
            let moments = kl.encode_moments(golden.tensor("im"));
            golden.check("mean", &moments.mean, MODULE);
            golden.check("std", &moments.std, MODULE);
            // Both sides of the autoencoder hide the factor that the UNet was trained with.
            let latent = vae.encode(golden.tensor("im"));
            golden.check("mean", &(latent / factor), MODULE);
            golden.check("y", &vae.decode(&(golden.tensor("z") * factor)), MODULE);
        }
    }
}
