"""The script that `archwright completion bash` prints completes in a real bash."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from archwright.__main__ import COMMANDS, main
from archwright.cli.completing import SHELLS

shtab = pytest.importorskip("shtab", reason="pip install 'archwright[completion]'")


def completed(script: Path, *words: str) -> list[str]:
    """What bash offers at the end of the words."""
    line = " ".join(f"'{word}'" for word in words)
    code = (
        f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}\n"
        "function=$(complete -p archwright | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n"
        'COMP_LINE="${COMP_WORDS[*]}"; COMP_POINT=${#COMP_LINE}\n'
        f'$function archwright "{words[-1]}" "{words[-2]}"; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True, cwd=script.parent)
    return sorted(word.strip() for word in done.stdout.splitlines() if word.strip())


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "archwright.bash"
    with pytest.MonkeyPatch.context() as patch, path.open("w") as out:
        patch.setattr("sys.stdout", out)
        assert main(["completion", "bash"]) == 0
    (path.parent / "photos").mkdir()
    return path


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_commands_flags_and_choices_are_completed(script: Path) -> None:
    assert completed(script, "archwright", "re") == sorted(name for name in COMMANDS if name.startswith("re"))
    assert completed(script, "archwright", "search", "--image") == ["--image-size"]
    assert completed(script, "archwright", "search", "--space", "enas-") == [
        "enas-macro",
        "enas-micro",
        "enas-recurrent",
    ]
    assert completed(script, "archwright", "search", "--preset", "") == ["paper", "small"]
    assert "--final-recipe.learning-rate" in completed(script, "archwright", "transfer", "--final-recipe.learn")
    assert "photos" in {word.rstrip("/") for word in completed(script, "archwright", "check", "pho")}


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell in shtab.SUPPORTED_SHELLS
