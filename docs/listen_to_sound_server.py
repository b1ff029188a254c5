"""ser-edge listen on a real audio path: a sound server with a null sink, and a pipe.

PulseAudio runs as a process of its own with a sink that nobody hears. Recordings
are played into it at the speed of life; PortAudio, ALSA and PulseAudio carry them to
``ser-edge listen`` on a pseudo-terminal, which ends by Ctrl-C. Then the same from a
pipe: ``parec | ser-edge listen -``.

Needs Linux with pulseaudio, pulseaudio-utils, libasound2-plugins and libportaudio2,
and pip install 'ser-edge[mic]'. The terminal's last lines and the summaries are
printed; docs/listen.txt is what it printed.

    python docs/listen_to_sound_server.py [--seconds 60] > docs/listen.txt
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

CLIPS = sorted((Path(__file__).resolve().parent.parent / "examples" / "clips").glob("*.wav"))
LISTEN = [sys.executable, "-m", "ser_edge", "listen"]
COLUMNS = 120


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=int, default=60)
    seconds = options.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="ser-edge-sound-") as folder:
        place = Path(folder)
        place.chmod(0o700)
        environment = os.environ | {
            "XDG_RUNTIME_DIR": folder,
            "HOME": folder,
            "PULSE_RUNTIME_PATH": folder + "/pulse",
            "PYTHONPATH": str(Path.cwd()),
            "COLUMNS": str(COLUMNS),
            "OPENBLAS_NUM_THREADS": "1",
        }
        server = subprocess.Popen(
            [
                "pulseaudio",
                "-n",
                "--daemonize=no",
                "--exit-idle-time=-1",
                "--use-pid-file=no",
                "--load=module-native-protocol-unix",
                "--load=module-null-sink sink_name=room rate=44100",
            ],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        player = None
        try:
            ready(environment)
            long = place / "talk.wav"
            write_talk(long, seconds)
            show([*LISTEN, "--list-devices"], environment)
            player = subprocess.Popen(
                ["paplay", str(long)], env=environment, stderr=subprocess.DEVNULL
            )
            held = on_a_terminal([*LISTEN, "--device", "pulse"], environment, seconds)
            player.kill()
            player.wait()
            player = subprocess.Popen(
                ["paplay", str(long)], env=environment, stderr=subprocess.DEVNULL
            )
            held &= from_a_pipe(environment, min(seconds, 15))
        finally:
            for process in (player, server):
                if process is not None:
                    process.terminate()
                    process.wait()
    print("all held" if held else "NOT ALL HELD")
    return 0 if held else 1


def ready(environment: dict[str, str]) -> None:
    for _ in range(100):
        if subprocess.run(["pactl", "info"], env=environment, capture_output=True).returncode == 0:
            return
        time.sleep(0.1)  # pulseaudio tells nobody when it is ready
    raise SystemExit("pulseaudio does not answer")


def write_talk(path: Path, seconds: int) -> None:
    """The example clips one after the other, with a pause of five seconds after the last."""
    with wave.open(str(path), "wb") as talk:
        talk.setnchannels(1)
        talk.setsampwidth(2)
        talk.setframerate(16000)
        for _ in range(seconds // 15 + 3):
            for clip in CLIPS:
                with wave.open(str(clip)) as sound:
                    talk.writeframes(sound.readframes(sound.getnframes()))
            talk.writeframes(bytes(2 * 5 * 16000))


def show(command: list[str], environment: dict[str, str]) -> None:
    print("$ ser-edge", *command[3:])
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    print(done.stdout + done.stderr)


def on_a_terminal(command: list[str], environment: dict[str, str], seconds: int) -> bool:
    """Runs it on a pseudo-terminal, ends it by Ctrl-C, and shows what stood there."""
    print("$ ser-edge", *command[3:], f"    # on a terminal of {COLUMNS} columns")
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    seen, end, asked = b"", time.monotonic() + seconds, False
    while True:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                seen += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
        if not asked and time.monotonic() > end:
            child.send_signal(signal.SIGINT)
            asked = True
    code = child.wait()
    os.close(ours)
    text = seen.decode()
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    drawn = [line for line in lines if re.match(r" +\d+\.\d s  ", line)]
    print("\n".join([*lines[:2], "  ... the line is redrawn in place; every 5th of its states:"]))
    print("\n".join(drawn[::5]))
    print("  ... and what Ctrl-C leaves:")
    print("\n".join(lines[-4:]), f"\nexit code {code}\n")
    windows = int(re.search(r"heard: (\d+) windows, (\d+) without", text)[1])
    silent = int(re.search(r"heard: (\d+) windows, (\d+) without", text)[2])
    heard = float(re.search(r"([\d.]+) s heard", text)[1])
    return (
        code == 0
        and heard > seconds - 10
        and windows >= heard - 4
        and silent > 0
        and all(len(line) < COLUMNS for line in drawn)
    )


def from_a_pipe(environment: dict[str, str], seconds: int) -> bool:
    rate = 22050
    record = f"parec --raw --format=s16le --channels=1 --rate={rate} --device=room.monitor"
    print(f"$ {record} | ser-edge listen - --rate {rate} --seconds {seconds}")
    source = subprocess.Popen(record.split(), env=environment, stdout=subprocess.PIPE)
    done = subprocess.run(
        [*LISTEN, "-", "--rate", str(rate), "--seconds", str(seconds)],
        env=environment,
        stdin=source.stdout,
        capture_output=True,
        text=True,
    )
    source.terminate()
    source.wait()
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    for row in rows:
        print(
            f"{row['start']:8.2f} - {row['end']:8.2f} s  {row['label']:<9} "
            f"{100 * row['score']:3.0f} %  {1000 * row['latency']['audio']:4.0f} ms late"
        )
    print(done.stderr + f"exit code {done.returncode}\n")
    return done.returncode == 0 and len(rows) >= seconds - 9


if __name__ == "__main__":
    sys.exit(main())
