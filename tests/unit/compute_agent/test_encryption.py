"""When a transfer may travel in the clear."""

from __future__ import annotations

import pytest

from migrator.compute_agent.encryption import refuse_control, refuse_stream


@pytest.mark.parametrize(
    ("uri", "wanted", "refused"),
    [
        ("qemu+tls://h2/system", ("required", "required"), False),
        ("qemu+tcp://h2/system", ("required", "required"), True),
        ("qemu+tcp://h2/system", ("off", "required"), True),
        ("qemu+tcp://h2/system", ("required", "off"), True),
        ("qemu+tcp://h2/system", ("off", "off"), False),
        ("qemu+unix:///system?socket=/run/h2", ("required", "required"), True),
    ],
)
def test_the_stricter_of_both_sides_decides(
    uri: str, wanted: tuple[str, ...], refused: bool
) -> None:
    refusal = refuse_control("encryption", uri, wanted)
    assert (refusal is not None) is refused
    if refusal is not None:
        assert refusal.code == "tls.required"
        assert "qemu+tls://" in refusal.message
        assert "migration_encryption = off" in refusal.message


@pytest.mark.parametrize(
    ("flags", "encryption", "refused"),
    [(["tls"], "required", False), ([], "required", True), ([], "off", False)],
)
def test_a_stream_without_tls_is_refused_by_the_host_that_would_send_it(
    flags: list[str], encryption: str, refused: bool
) -> None:
    assert (refuse_stream(flags, encryption) is not None) is refused
