//! What changes a model or is put beside it: LoRA and IP-Adapter.

mod lora;
