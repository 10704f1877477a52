# SPDX-License-Identifier: GPL-3.0-or-later
"""The one part of the project that is compiled; all else that is to be built is in pyproject.toml.

One build serves every Python that the project runs on: it uses the limited interface of 3.11.
"""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "cig_relay.randomness._rdrand",
            ["src/cig_relay/randomness/_rdrand.c"],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            extra_compile_args=["-O2", "-Wall", "-Wextra"],
            py_limited_api=True,
        )
    ]
)
