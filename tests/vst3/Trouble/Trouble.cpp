// A mono effect that goes wrong on request: by a parameter, once it hears sound. What it lets
// through comes 64 samples later, and it says so.
#include "DistrhoPlugin.hpp"
#include <csignal>
#include <cmath>
#include <cstdlib>
#include <unistd.h>

START_NAMESPACE_DISTRHO

static const uint32_t kDelay = 64;
static const char* const kModes[] = {"pass", "crash", "hang", "leave", "not a number"};

class Trouble : public Plugin {
public:
    Trouble() : Plugin(1, 0, 0) { setLatency(kDelay); }

protected:
    const char* getLabel() const override { return "Trouble"; }
    const char* getMaker() const override { return "Scorewire"; }
    const char* getLicense() const override { return "GPL-3.0-or-later"; }
    uint32_t getVersion() const override { return d_version(1, 2, 3); }
    int64_t getUniqueId() const override { return d_cconst('S', 'w', 'T', 'r'); }

    void initParameter(uint32_t, Parameter& parameter) override {
        parameter.hints = kParameterIsAutomatable | kParameterIsInteger;
        parameter.name = parameter.symbol = "mode";
        parameter.ranges.max = 4.0f;
        parameter.enumValues.count = 5;
        parameter.enumValues.restrictedMode = true;
        parameter.enumValues.values = new ParameterEnumerationValue[5];
        for (int i = 0; i < 5; ++i) {
            parameter.enumValues.values[i].value = i;
            parameter.enumValues.values[i].label = kModes[i];
        }
    }

    float getParameterValue(uint32_t) const override { return mode; }
    void setParameterValue(uint32_t, float value) override { mode = value; }

    void activate() override {
        for (float& sample : held) sample = 0.0f;
    }

    void run(const float** inputs, float** outputs, uint32_t frames) override {
        for (uint32_t i = 0; i < frames; ++i) {
            const float now = inputs[0][i];
            if (now != 0.0f) act();
            outputs[0][i] = wrong ? NAN : held[at];
            held[at] = now;
            at = (at + 1) % kDelay;
        }
    }

private:
    void act() {
        switch (static_cast<int>(mode + 0.5f)) {
        case 1: raise(SIGSEGV); break;
        case 2: for (;;) pause();
        case 3: _exit(7);
        case 4: wrong = true; break;
        }
    }

    float mode = 0.0f, held[kDelay] = {};
    uint32_t at = 0;
    bool wrong = false;
};

Plugin* createPlugin() { return new Trouble(); }

END_NAMESPACE_DISTRHO
