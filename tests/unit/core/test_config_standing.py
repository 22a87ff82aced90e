"""Which configuration holds."""

from gateway.core.config_standing import ConfigStanding


def test_a_refused_configuration_is_remembered_until_one_is_taken() -> None:
    """K04: the old one holds, and somebody has to look."""
    standing = ConfigStanding()

    standing.note_refused()
    assert (standing.generation, standing.has_failed) == (1, True)

    standing.note_taken()
    assert (standing.generation, standing.has_failed) == (2, False)
