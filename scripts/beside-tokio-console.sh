#!/usr/bin/env bash
# What does it cost to look? loopscope and tokio-console side by side at one program of 10,000 sleeping tasks, each in a
# terminal of tmux, for the same 30 seconds: CPU seconds and peak memory of both, and how often their screens changed.
# Usage: scripts/beside-tokio-console.sh [PUBLISH_INTERVAL [TASKS [SECONDS]]]
# It uses release builds that are there, and makes those that are not. TOKIO_CONSOLE names a tokio-console off the PATH.
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

# The app ends with its standard input.
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
    # The name, in parentheses, may hold anything: what counts comes after it.
    awk -v hertz="$(getconf CLK_TCK)" '{ printf "%.2f", ($12 + $13) / hertz }' <<<"${stat##*) }"
}
# How many bytes each writes to its terminal is how much its screen changes.
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

echo "$tasks tasks, published every $interval, watched for $seconds s by both at once:"
printf '%-14s %12s %14s %16s %14s\n' client 'CPU seconds' 'peak RSS MiB' 'screens seen' 'bytes drawn'
for client in loopscope tokio-console; do
    pid=$(pid_of "$client")
    peak=$(awk '/^VmHWM/ { printf "%.1f", $2 / 1024 }' "/proc/$pid/status")
    changed=$(uniq "$folder/$client.frames" | wc -l)
    printf '%-14s %12s %14s %16s %14s\n' "$client" "$(cpu_seconds "$pid")" "$peak" "$changed" \
        "$(wc -c <"$folder/$client")"
done
tmux -L "$socket" capture-pane -p -t loopscope | sed -n '1,3p'
