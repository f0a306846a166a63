#!/usr/bin/env bash
# Compares the cost of loopscope and tokio-console, both attached to one app with 10,000 sleeping tasks for 30 seconds.
# Each runs in a tmux terminal. Prints CPU seconds, peak memory, and how often the screen changed.
# Usage: scripts/beside-tokio-console.sh [PUBLISH_INTERVAL [TASKS [SECONDS]]]
# Builds in release mode. Set TOKIO_CONSOLE to the path of tokio-console if it is not in PATH.
set -euo pipefail
cd "$(dirname "$0")/.."

interval=${1:-1s} tasks=${2:-10000} seconds=${3:-30}
console=${TOKIO_CONSOLE:-tokio-console}
for needed in "$console" tmux; do
    if ! command -v "$needed" >/dev/null; then
        echo "skipped: $needed is not installed"
        exit 0
    fi
done
cargo build --release --quiet --bin loopscope --example app
target=$(cargo metadata --format-version 1 --no-deps | grep -o '"target_directory":"[^"]*"' | cut -d'"' -f4)/release

port=$((20000 + RANDOM % 20000))
socket=beside-$$
folder=$(mktemp -d)
app=
finish() {
    tmux -L "$socket" kill-server 2>/dev/null || true
    [ -n "$app" ] && kill "$app" 2>/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT

# The app exits at the end of its standard input.
mkfifo "$folder/input"
TOKIO_CONSOLE_BIND=127.0.0.1:$port TOKIO_CONSOLE_PUBLISH_INTERVAL=$interval \
    "$target/examples/app" sleeps --tasks "$tasks" <"$folder/input" >/dev/null 2>&1 &
app=$!
exec 3>"$folder/input"
for _ in $(seq 200); do
    if (exec 4<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
    sleep 0.05
done

tmux -L "$socket" new-session -d -x 120 -y 40 -s loopscope "exec '$target/loopscope' attach $port"
tmux -L "$socket" new-session -d -x 120 -y 40 -s tokio-console "exec '$console' http://127.0.0.1:$port"
pid_of() { tmux -L "$socket" list-panes -t "$1" -F '#{pane_pid}'; }
cpu_seconds() {
    local stat
    stat=$(<"/proc/$1/stat")
    # Skip the process name in parentheses, which may contain spaces.
    awk -v hertz="$(getconf CLK_TCK)" '{ printf "%.2f", ($12 + $13) / hertz }' <<<"${stat##*) }"
}
# Count the bytes that each client writes to its terminal.
for client in loopscope tokio-console; do
    tmux -L "$socket" pipe-pane -t "$client" "cat >'$folder/$client'"
done

begun=$SECONDS
while [ $((SECONDS - begun)) -lt "$seconds" ]; do
    for client in loopscope tokio-console; do
        tmux -L "$socket" capture-pane -p -t "$client" | cksum >>"$folder/$client.frames"
    done
    sleep 0.02
done

echo "$tasks tasks, publish interval $interval, $seconds s, both clients at the same time:"
printf '%-14s %12s %14s %16s %14s\n' client 'CPU seconds' 'peak RSS MiB' 'screens drawn' 'bytes drawn'
for client in loopscope tokio-console; do
    pid=$(pid_of "$client")
    peak=$(awk '/^VmHWM/ { printf "%.1f", $2 / 1024 }' "/proc/$pid/status")
    changed=$(uniq "$folder/$client.frames" | wc -l)
    printf '%-14s %12s %14s %16s %14s\n' "$client" "$(cpu_seconds "$pid")" "$peak" "$changed" \
        "$(wc -c <"$folder/$client")"
done
tmux -L "$socket" capture-pane -p -t loopscope | sed -n '1,3p'
