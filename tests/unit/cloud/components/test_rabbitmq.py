"""RabbitMQ's definitions."""

from __future__ import annotations

from skerry.cloud.components.rabbitmq import _rabbit_hash


def test_rabbitmq_takes_the_password_hash() -> None:
    """The published example of RabbitMQ's documentation: password test12, salt 908D C60A, sha256."""
    import base64
    import hashlib

    salt = bytes.fromhex("908DC60A")
    expected = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
    assert base64.b64encode(salt + hashlib.sha256(salt + b"test12").digest()).decode() == expected
    ours = base64.b64decode(_rabbit_hash("test12"))
    assert ours[4:] == hashlib.sha256(ours[:4] + b"test12").digest()
