"""A stand-in for the Python interpreter of shell scripts: every command in a process of its own, forked with PyTorch
loaded.

Importing is most of a small command's time; here it is done once. What `write_client` writes is what a script calls as
$PYTHON:
it hands its arguments, folder, environment and standard streams over a socket, and exits as the forked command does.
"""

import array
import importlib
import json
import os
import runpy
import signal
import socket
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRELOADED = (
    "train_aae_unsupervised",
    "train_aae_landmarks",
    "eval_landmarks",
    "train_3dmm",
    "train_recon3d",
    "eval_recon3d",
    "train_depthnet",
    "eval_depthnet",
    "datasets.synthetic.faces",
    "datasets.synthetic.depth",
    "landmarks.bundle",
    "recon3d.reconstruction.prepare",
    "recon3d.regression.prepare",
    "recon3d.regression.drawn",
    "accelerate",
    "numba",
    "torchvision",
    "torch._dynamo",
    "torch.distributed.fsdp",
    "torch.utils.tensorboard",
)
CLIENT = """#!{python} -IS
import array, json, os, socket, sys
request = json.dumps({{"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}).encode()
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    streams = array.array("i", [0, 1, 2])
    server.sendmsg([len(request).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    server.sendall(request)
    code = server.recv(8)
sys.exit(int(code) if code else 1)
"""


def run(arguments: list[str]) -> None:
    """What `python ARGUMENTS` does with -c, -m or the path of a script."""
    kind = arguments[0]
    if kind == "-c":
        sys.argv, sys.path[0:0] = ["-c", *arguments[2:]], [""]
        exec(compile(arguments[1], "<string>", "exec"), {"__name__": "__main__"})
    elif kind == "-m":
        sys.argv, sys.path[0:0] = arguments[1:], [os.getcwd()]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0:0] = arguments, [str(Path(kind).resolve().parent)]
        runpy.run_path(kind, run_name="__main__")


def command(request: dict, streams: list[int]) -> None:
    """Become the command, in a forked child; its exceptions and SystemExit end the process as they end any other."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    run(request["arguments"])
    sys.exit(0)


def answer(connection: socket.socket) -> None:
    """Read one request, run it and reply with its exit code."""
    head, ancillary, *_ = connection.recvmsg(8, socket.CMSG_SPACE(3 * array.array("i").itemsize))
    streams = array.array("i")
    streams.frombytes(ancillary[0][2])
    length, data = int.from_bytes(head, "big"), b""
    while len(data) < length:
        data += connection.recv(length - len(data))
    child = os.fork()
    if child == 0:
        connection.close()
        command(json.loads(data), list(streams))
    for stream in streams:
        os.close(stream)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    connection.sendall(str(code if code >= 0 else 128 - code).encode())


def collect(*_: object) -> None:
    """Collect the forks that have ended, so that their processor time counts as the server's children's."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def serve(address: str) -> None:
    """Answer until terminated: every connection in a fork that waits for its command."""
    for name in PRELOADED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, collect)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                server.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                answer(connection)
                os._exit(0)
            connection.close()


def write_client(path: Path, address: str) -> Path:
    """The executable that scripts call as $PYTHON."""
    path.write_text(CLIENT.format(python=sys.executable, address=address))
    path.chmod(0o755)
    return path


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    serve(sys.argv[1])
