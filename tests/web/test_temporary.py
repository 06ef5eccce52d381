"""Where Gradio writes."""

import os
from pathlib import Path

from web.temporary import claim


def test_gradio_writes_below_the_data_directory_and_nobody_else_reads_there(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    folder = claim(tmp_path / "data", environ)
    assert folder == (tmp_path / "data" / "uploads").resolve()
    assert folder.stat().st_mode & 0o77 == 0
    assert environ["GRADIO_TEMP_DIR"] == str(folder)
    assert Path(environ["GRADIO_EXAMPLES_CACHE"]).parent == folder


def test_where_nothing_can_be_written_uploads_go_to_a_temporary_folder(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no folder")
    environ: dict[str, str] = {}
    folder = claim(tmp_path / "data", environ)
    assert folder.is_dir()
    assert environ["GRADIO_TEMP_DIR"] == str(folder)
    folder.rmdir()


def test_what_a_killed_program_left_goes_and_what_is_being_uploaded_stays(tmp_path: Path) -> None:
    folder = claim(tmp_path, {})
    for name in ("left", "coming"):
        (folder / name).mkdir()
        (folder / name / "file.txt").write_text(name)
    os.utime(folder / "left", (0, 0))
    (folder / "link").symlink_to(tmp_path)
    os.utime(folder / "link", (0, 0), follow_symlinks=False)
    (tmp_path / "kept").touch()
    claim(tmp_path, {})
    assert [path.name for path in folder.iterdir()] == ["coming"]
    assert (tmp_path / "kept").exists()
