"""What is remembered of one credential."""

from gateway.credentials.slot import MAX_MODELS, Slot
from tests.unit.credentials.conftest import credentials_of


def open_slot() -> Slot:
    """A credential that nothing is known of."""
    return Slot(credentials_of(1)[0])


def test_each_model_has_a_rest_of_its_own() -> None:
    """Providers limit models apart."""
    slot = open_slot()

    slot.rest("large", 20.0)
    slot.rest("small", 10.0)

    assert (slot.rests_until("large"), slot.rests_until("small")) == (20.0, 10.0)
    assert slot.rests_until("another") == 0.0


def test_a_later_answer_does_not_shorten_a_rest() -> None:
    """Answers of requests that were in flight come in any order."""
    slot = open_slot()
    slot.rest("m", 20.0)

    slot.rest("m", 15.0)

    assert slot.rests_until("m") == 20.0


def test_models_are_not_kept_without_bound() -> None:
    """Their names are the callers'; those that are known best are kept longest."""
    slot = open_slot()

    for number in range(10 * MAX_MODELS):
        slot.rest(f"m{number}", float(number + 1))
        slot.refuse(f"m{number}")

    assert len(slot.rests) == len(slot.refused) == MAX_MODELS
    assert max(slot.rests.values()) == 10.0 * MAX_MODELS
    assert f"m{10 * MAX_MODELS - 1}" in slot.refused
    slot.forget()
    assert (slot.rests, slot.refused) == ({}, {})


def test_only_whoever_tries_it_lets_others_try() -> None:
    """Somebody else who ends says nothing of the trial."""
    slot = open_slot()
    slot.in_flight, slot.tried_by = 2, "a"

    slot.give_back("b")
    assert slot.tried_by == "a"
    slot.give_back("a")

    assert (slot.tried_by, slot.in_flight) == (None, 0)
