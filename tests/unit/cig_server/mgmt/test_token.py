# SPDX-License-Identifier: GPL-3.0-or-later
"""The token file: its rights, its renewal, and that no text shows the token."""

import pickle
from pathlib import Path

import pytest

from cig_server.mgmt.token import create_token


def test_written_for_the_group_and_new_each_time(tmp_path: Path) -> None:
    path = tmp_path / "mgmt-token"
    first = create_token(path)
    word = path.read_text().strip()
    assert path.stat().st_mode & 0o777 == 0o640
    assert first.matches(word)
    assert not first.matches(word[:-1])
    assert not first.matches("\u00e5")
    second = create_token(path)
    assert not second.matches(word)
    assert second.matches(path.read_text().strip())
    assert [item.name for item in tmp_path.iterdir()] == ["mgmt-token"]
    assert word not in repr(first) + str(first)
    with pytest.raises(TypeError):
        pickle.dumps(first)


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    path = tmp_path / "mgmt-token"
    path.symlink_to(victim)
    create_token(path)
    assert victim.read_text() == "mine"
    assert not path.is_symlink()


def test_nothing_is_left_where_it_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "mgmt-token").mkdir()
    with pytest.raises(OSError):
        create_token(tmp_path / "mgmt-token")
    assert [item.name for item in tmp_path.iterdir()] == ["mgmt-token"]
