#ifndef AE_EXCHANGE_PEFT_WRITE_H
#define AE_EXCHANGE_PEFT_WRITE_H
#include "exchange/adapter.h"

/* Writes an adapter, verified against its base, as PEFT keeps LoRA: adapter_config.json and
 * adapter_model.safetensors, in float32. Where a parameter of conv_1d, rg_lru or a norm trained whole, PEFT
 * keeps its whole module (modules_to_save), with the base's values of the rest. AE_ERR_INPUT for what has no
 * form there: no adapters at all, a head, and other parameters that trained whole. */
ae_status ae_adapter_write_peft(const char *folder, const ae_adapter_source *a, const ae_model_source *base);

#endif
