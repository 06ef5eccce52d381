from pathlib import Path

import pytest

from web.keys import new_key
from web.option_values import parse_bytes
from web.options import default_data_dir, parse_options


def parse(*arguments: str, **environ: str):  # type: ignore[no-untyped-def]
    return parse_options(arguments, environ)


def test_defaults_are_those_of_the_readme() -> None:
    options = parse()
    assert (options.model, options.device, options.host, options.port) == (
        "auto", "CPU", "127.0.0.1", 7860,
    )  # fmt: skip
    assert (options.kv_budget_bytes, options.kv_precision, options.num_threads) == (
        None,
        "u8",
        None,
    )
    assert (options.disk_budget_bytes, options.precision, options.system_prompt) == (
        8 << 30,
        "auto",
        None,
    )
    assert options.single_token_graph is None
    assert (options.max_tokens, options.share, options.data_dir.name) == (0, False, "data")


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GB", 2_000_000_000), ("512MiB", 512 << 20), ("1.5 gib", 3 << 29), ("64kb", 64_000)],
)
def test_sizes_have_units(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--kv-budget", "5"], "like 2GB"),
        (["--kv-budget", "0GB"], "like 2GB"),
        (["--kv-budget", "900TB"], "memory"),
        (["--kv-precision", "u4"], "u8, f16, bf16, f32"),
        (["--disk-budget", "many"], "like 2GB"),
        (["--precision", "f8"], "auto, f32"),
        (["--overflow", "drop"], "recompute, shift"),
        (["--threads", "0"], "whole number from 1"),
        (["--threads", "1000000"], "whole number from 1"),
        (["--port", "70000"], "65535"),
        (["--max-tokens", "-1"], "whole number"),
        (["--max-queue", "-1"], "whole number"),
        (["--keep-answering", "for ever"], "whole number from 0 to 86400"),
        (["--model", "no-such-model"], "smollm2-135m-instruct"),
        (["--device", "GPU"], "OpenVINO sees here: CPU"),
        (["--device", "AUTO:GPU"], "OpenVINO sees here: CPU"),
        (["--modle", "x"], "unrecognized"),
        (["--mod", "x"], "unrecognized"),
        (["--chat-template", "no-such-file"], "Jinja chat template"),
        (["--raw"], "--ask"),
        (["--root-path", "chat"], "like /chat"),
        (["--root-path", "/a b"], "like /chat"),
        (["--trusted-proxies", "nginx"], "networks like 10.0.0.5"),
        (["--trusted-proxies", "10.0.0.0/33"], "networks like 10.0.0.5"),
        (["--single-token-graph", "maybe"], "neither yes nor no"),
        (["--api", "maybe"], "neither yes nor no"),
        (["--chat", "--ask", "x"], "do not go together"),
        (["--api", "no", "--no-page"], "nothing to serve"),
        (["--cors-origin", "example.org"], "like https://example.org"),
        (["--cors-origin", "*"], "--api-key-file"),
        (["--api-conversations", "yes"], "--auth-file"),
        (["--api-keep", "0"], "whole number from 1"),
        (["--access-log", "/no/such/folder/log"], "name a file"),
    ],
)
def test_impossible_values_are_refused_with_one_sentence(
    arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse(*arguments)
    said = capsys.readouterr().err
    assert exit_.value.code == 2
    assert word in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("device", ["cpu", "AUTO", "auto:cpu", "HETERO:CPU"])
def test_what_chooses_a_device_itself_chooses_the_one_that_is_supported(device: str) -> None:
    assert parse("--device", device).device == "CPU"


def test_a_directory_without_a_model_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse("--model", str(tmp_path))
    assert "openvino_model.xml" in capsys.readouterr().err


def test_a_model_for_images_and_text_is_a_model(tmp_path: Path) -> None:
    for name in ("openvino_language_model.xml", "openvino_language_model.bin"):
        (tmp_path / name).touch()
    assert parse("--model", str(tmp_path)).model == str(tmp_path)


def test_every_option_is_an_environment_variable_too(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").touch()
    options = parse(
        WARMCHAT_MODEL=str(tmp_path / "m.gguf"), WARMCHAT_DEVICE="cpu", WARMCHAT_HOST="::",
        WARMCHAT_PORT="81", WARMCHAT_SHARE="yes", WARMCHAT_KV_BUDGET="1MiB",
        WARMCHAT_KV_PRECISION="f32", WARMCHAT_THREADS="1", WARMCHAT_DATA_DIR=str(tmp_path),
        WARMCHAT_MAX_TOKENS="9", WARMCHAT_DISK_BUDGET="90TB", WARMCHAT_PRECISION="f32",
        WARMCHAT_SYSTEM_PROMPT="Be kind.",
    )  # fmt: skip
    assert options.model == str(tmp_path / "m.gguf")
    assert (options.host, options.port, options.share) == ("::", 81, True)
    assert (options.kv_budget_bytes, options.kv_precision, options.num_threads) == (
        1 << 20,
        "f32",
        1,
    )
    assert (options.disk_budget_bytes, options.precision, options.system_prompt) == (
        90 * 10**12,
        "f32",
        "Be kind.",
    )
    assert (options.data_dir, options.max_tokens, options.device) == (tmp_path, 9, "CPU")


def test_a_tilde_is_the_home_folder_from_the_environment_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse("--data-dir", "~/x").data_dir == tmp_path / "x"
    assert parse(WARMCHAT_DATA_DIR="~/x").data_dir == tmp_path / "x"


def test_a_chat_template_is_a_file_that_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "chat.jinja").write_text("{{ messages }}")
    assert parse().chat_template is None
    assert parse("--chat-template", "~/chat.jinja").chat_template == tmp_path / "chat.jinja"


def test_the_queue_is_limited_and_the_page_open_unless_said_otherwise() -> None:
    assert (parse().max_queue, parse().users) == (64, None)
    assert parse("--max-queue", "0").max_queue == 0
    assert parse(WARMCHAT_MAX_QUEUE="3").max_queue == 3


def test_proxies_of_this_machine_are_trusted_unless_said_otherwise() -> None:
    assert parse().trusted_proxies == ("127.0.0.1", "::1")
    assert parse(FORWARDED_ALLOW_IPS="10.0.0.5").trusted_proxies == ("10.0.0.5",)
    assert parse(SYSTEM="spaces").trusted_proxies == ("*",)
    assert parse("--trusted-proxies", "none").trusted_proxies == ()
    said = "10.0.0.1/8, fd00:0::/8,0:0::5"
    assert parse("--trusted-proxies", said).trusted_proxies == ("10.0.0.0/8", "fd00::/8", "::5")


def test_a_prefix_is_a_path_without_a_slash_at_its_end() -> None:
    assert parse().root_path == ""
    assert parse("--root-path", "/").root_path == ""
    assert parse("--root-path", "/a/chat/").root_path == "/a/chat"
    assert parse(GRADIO_ROOT_PATH="https://example.com/chat").root_path == "/chat"


def test_an_answer_goes_on_for_a_minute_after_its_reader_unless_said_otherwise() -> None:
    assert parse().keep_answering_s == 60
    assert parse("--keep-answering", "0").keep_answering_s == 0
    assert parse(WARMCHAT_KEEP_ANSWERING="600").keep_answering_s == 600


def test_connections_have_a_limit() -> None:
    assert parse().max_connections == 1000
    assert parse(WARMCHAT_MAX_CONNECTIONS="16").max_connections == 16


def test_uploads_and_other_requests_have_limits() -> None:
    assert (parse().max_upload_bytes, parse().max_body_bytes) == (1 << 30, 16 << 20)
    options = parse("--max-upload", "2MiB", WARMCHAT_MAX_BODY="1MiB")
    assert (options.max_upload_bytes, options.max_body_bytes) == (2 << 20, 1 << 20)


def test_storage_is_preferred_unless_it_is_required() -> None:
    assert parse().storage == "preferred"
    assert parse(WARMCHAT_STORAGE="required").storage == "required"
    with pytest.raises(SystemExit):
        parse("--storage", "maybe")


def test_the_command_line_wins_over_the_environment() -> None:
    assert parse("--port", "82", WARMCHAT_PORT="81").port == 82


def test_a_bad_variable_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(WARMCHAT_SHARE="maybe")
    assert "WARMCHAT_SHARE: 'maybe'" in capsys.readouterr().err


def test_a_space_listens_to_everyone_on_its_own_port() -> None:
    options = parse(SYSTEM="spaces", GRADIO_SERVER_PORT="7861")
    assert (options.host, options.port) == ("0.0.0.0", 7861)


def test_persistent_storage_of_a_space_is_used_where_there_is_some(tmp_path: Path) -> None:
    assert default_data_dir(True, tmp_path) == tmp_path
    assert default_data_dir(True, tmp_path / "absent").name == "data"
    assert default_data_dir(False, tmp_path).name == "data"


@pytest.mark.parametrize(("said", "expected"), [("yes", True), ("no", False)])
def test_the_graph_for_single_tokens_can_be_asked_for_and_refused(
    said: str, *, expected: bool
) -> None:
    assert parse("--single-token-graph", said).single_token_graph is expected
    assert parse(WARMCHAT_SINGLE_TOKEN_GRAPH=said).single_token_graph is expected


def test_a_system_that_does_not_tell_its_memory_takes_any_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("os.sysconf")
    assert parse("--kv-budget", "900TiB").kv_budget_bytes == 900 * 2**40


def test_what_the_api_is_comes_from_options_and_environment(tmp_path: Path) -> None:
    options = parse()
    assert (options.api, options.page, options.keys, options.cors_origins) == (True, True, None, ())
    options = parse("--no-page", "--cors-origin", "https://a.example/, http://b:3000")
    assert (options.page, options.cors_origins) == (False, ("https://a.example", "http://b:3000"))
    assert parse(WARMCHAT_NO_PAGE="yes").page is False
    assert parse(WARMCHAT_NO_PAGE="no").page is True
    file = tmp_path / "keys.txt"
    file.write_text(new_key("anna")[1])
    assert parse(WARMCHAT_API_KEY_FILE=str(file), WARMCHAT_CORS_ORIGIN="*").keys is not None
