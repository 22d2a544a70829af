//! What two channels must have in common to share an engine: everything that is loaded.

use crate::params::Params;

/// Compares by the parameters that name files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(String);

impl Key {
    pub(super) fn of(params: &Params) -> Self {
        let controlnets: Vec<_> = params.controlnets.iter().map(|net| &net.model_id).collect();
        let ip_adapter = params.ip_adapter.as_ref().map(|adapter| &adapter.model_id);
        let files = (
            &params.model_id,
            &params.vae_id,
            &params.lora_dict,
            controlnets,
            ip_adapter,
            params.acceleration,
        );
        Self(format!("{files:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_share_an_engine_unless_they_need_other_files() {
        let base = Params::default();
        let mut hot = base.clone();
        hot.seed = crate::params::Blend::One(1);
        hot.t_index_list = vec![3];
        hot.width = 640;
        assert_eq!(Key::of(&base), Key::of(&hot));
        let mut other = base.clone();
        other.lora_dict.insert("style.safetensors".to_owned(), 0.5);
        assert_ne!(Key::of(&base), Key::of(&other));
    }
}
