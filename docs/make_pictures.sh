#!/bin/sh
# Makes docs/report.html and its three pictures from a finished run:
#   docs/make_pictures.sh RUN        (for example runs/latest, of a quiet machine)
# Needs Chromium on PATH and the environment of `make install`; PYTHON names another interpreter.
set -eu
[ $# -eq 1 ] && [ -f "$1/results.json" ] || { echo "usage: $0 RUN, a finished run" >&2; exit 2; }
run=$(cd "$1" && pwd -P)
docs=$(cd "$(dirname "$0")" && pwd -P)
python=${PYTHON:-$docs/../.venv/bin/python}
port=${PORT:-16007}
work=$(mktemp -d)
served=""
trap '[ -z "$served" ] || kill "$served"; rm -rf "$work"' EXIT

# take WIDTH HEIGHT ADDRESS FILE. Without 3D TensorBoard draws its curves as SVG: with it a picture
# may be taken before they are there.
take() {
    chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-sync \
        --disable-background-networking --disable-component-update --hide-scrollbars \
        --run-all-compositor-stages-before-draw --disable-3d-apis \
        --allow-file-access-from-files --virtual-time-budget=20000 \
        --user-data-dir="$work/profile" --window-size="$1,$2" --screenshot="$4" "$3" 2>"$work/browser.log"
}

cd "$docs/.."
"$python" -m experiments.report "$run" --output "$docs/report.html"
take 1280 1400 "file://$docs/report.html" "$docs/report-desk.png"

# A window cannot be as narrow as a phone everywhere; a frame can.
printf '<body style="margin:0"><iframe src="file://%s" style="%s"></iframe>' \
    "$docs/report.html" "width:390px;height:1500px;border:0" >"$work/phone.html"
take 390 1500 "file://$work/phone.html" "$docs/report-phone.png"

# Only this run: a copy in a folder of its own keeps the others out of the picture.
mkdir "$work/runs"
cp -R "$run/tb" "$work/runs/$(basename "$run")"
"$python" -m tensorboard.main --logdir "$work/runs" --host 127.0.0.1 --port "$port" \
    --load_fast=false >"$work/tensorboard.log" 2>&1 &
served=$!
tries=0
until curl --silent --fail "http://127.0.0.1:$port/data/runs" | grep -q '\['; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || { cat "$work/tensorboard.log" >&2; exit 1; }
    sleep 1
done
sleep 5
tags='bits/chosen|evaluation/accuracy$|evaluation/latency_ms|front|practice/(accuracy|latency)'
page="?darkMode=false&smoothing=0&tagFilter=$(printf %s "$tags" | sed 's/|/%7C/g; s/\$/%24/g')"
take 1600 1000 "http://127.0.0.1:$port/$page#timeseries" "$docs/tensorboard.png"
ls -l "$docs"/*.png
