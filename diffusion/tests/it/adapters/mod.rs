//! What changes a model or is put beside it: LoRA and IP-Adapter.

mod ip_adapter;
mod lora;
