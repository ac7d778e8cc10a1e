"""What the Docker driver uses of the SDK, which ships no types."""

from docker import errors as errors
from docker import types as types
from docker.client import APIClient as APIClient
