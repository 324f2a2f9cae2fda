"""Messages read by the table: what is a request, an option, a prompt, or a fader's lone number."""

import pytest

from bridge.osc.addresses import UNKNOWN, Refused, understand
from bridge.protocol.osc_wire import Message

HERE = ("127.0.0.1", 1)


def read(address, *args):
    return understand(Message(f"/scorewire/{address}", args), HERE)


@pytest.mark.parametrize(
    ("address", "value", "values"),
    [
        ("slot/1/param/level", 0.5, {"position": 0.5, "slot": 1, "name": "level"}),
        ("slot/1/param/level", True, {"position": 1.0, "slot": 1, "name": "level"}),
        ("slot/1/on", 60.0, {"note": 60, "slot": 1}),
        ("slot/1/off", 60, {"note": 60, "slot": 1}),
        ("slot/1/trigger", 0.5, {"strength": 0.5, "slot": 1}),
        ("slot/1/trigger", 0.0, {"strength": 0.0, "slot": 1}),
        ("slot/1/trigger", False, {"strength": 0.0, "slot": 1}),
    ],
)
def test_a_lone_number_needs_no_req(address, value, values):
    call = read(address, value)
    assert (call.req, call.values, call.options) == (UNKNOWN, values, {})


@pytest.mark.parametrize("value", [1, 0, 4.0, True])
def test_a_whole_number_at_a_trigger_is_its_req(value):
    call = read("slot/1/trigger", value)
    assert (call.req, call.values) == (int(value), {"req": int(value), "slot": 1})


def test_what_is_no_number_alone_is_refused():
    with pytest.raises(Refused, match=r"note must be a whole number, got 60\.5"):
        read("slot/1/on", 60.5)
    with pytest.raises(Refused, match=r"req must be a whole number, got '/a\.json'"):
        read("slot/1/load", "/a.json", "b")
    with pytest.raises(Refused, match="position must be a finite number, got nan"):
        read("slot/1/param/level", float("nan"))


def test_nils_behind_are_read_over_and_others_are_not():
    assert read("ping", 1, None, None).req == 1
    assert read("slot/1/param/level", 0.5, None).values["position"] == 0.5
    with pytest.raises(Refused, match="req must be a whole number, got None"):
        read("ping", None, 1)
    with pytest.raises(Refused, match="i:req is missing"):
        read("ping", None)


def prompts(*args):
    call = read("separate", 1, "/a.wav", "/out", *args)
    return call.values["prompts"], call.options


def test_a_prompt_may_have_an_equals_sign():
    assert prompts("kick=808", "E=mc2", "a = b", "x=", "steps=20") == (
        ["kick=808", "E=mc2", "a = b", "x="],
        {"steps": 20},
    )
    assert prompts("steps=", 20.0, "kick=808") == (["kick=808"], {"steps": 20})
    assert prompts("negatives=a=b", "hiss") == (["hiss"], {"negatives": "a=b"})
    call = read("patch", 1, "seed=3", "fm", "/out")
    assert (call.values["prompt"], call.options) == ("seed=3", {})


@pytest.mark.parametrize("wrong", ["stpes=20", "step=20", "methods=fast", "tempos=120"])
def test_an_option_written_wrong_is_no_prompt(wrong):
    with pytest.raises(Refused, match=f"there is no option '{wrong.partition('=')[0]}'"):
        prompts("drums", wrong)


def test_where_no_text_is_repeated_every_unknown_option_is_refused():
    with pytest.raises(Refused, match="there is no option 'colour'"):
        read("patch", 1, "kick", "fm", "/out", "colour=1")
