#pragma once
#define DISTRHO_PLUGIN_BRAND "Scorewire"
#define DISTRHO_PLUGIN_NAME "Trouble"
#define DISTRHO_PLUGIN_URI "urn:scorewire:trouble"
#define DISTRHO_PLUGIN_CLAP_ID "scorewire.trouble"
#define DISTRHO_PLUGIN_HAS_UI 0
#define DISTRHO_PLUGIN_NUM_INPUTS 1
#define DISTRHO_PLUGIN_NUM_OUTPUTS 1
#define DISTRHO_PLUGIN_WANT_LATENCY 1
