#!/usr/bin/env bash
# Everything that a GPU is wanted for, in pieces of under ten minutes, on a machine that is lent for minutes and knows no network:
#   exps/gpu_campaign.sh pack              at home: crops of all trainings, then files of at most 60 MiB in $CAMPAIGN/pieces
#   exps/gpu_campaign.sh unpack            there, once the pieces are beside the code
#   exps/gpu_campaign.sh autoencoder       there, again and again: each call trains for at most PIECE seconds, saves, and goes on
#   exps/gpu_campaign.sh landmarks         where the last one stopped, until the session has had its minutes; likewise regressor
#   exps/gpu_campaign.sh reconstructor     and reconstructor
#   exps/gpu_campaign.sh measure           at home, with the sessions of $CAMPAIGN/data/models/snapshots brought back
# Without a word all of them, in this order. No paper's row. Expected: below pretrained/landmarks_fast/README.md in NME, an autoencoder
# below 13.8 grey levels (docs/training_runs.md). Hardware: 1 GPU with 40 GB, 60 minutes in all; not run yet. Needs w300 in
# local_config.ini; PHOTOS="DIR…" adds folders of photos without labels to the autoencoder's.
# SMOKE=1 runs the same commands in seconds on drawn photos, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
drawn w300
HOME_CONFIG=$CONFIG
CAMPAIGN=${CAMPAIGN:-data/campaign}
PIECE=${PIECE:-540}
side=256 ae=(-b 128 --precision bf16 --compile 1) lms=(--width 96 -b 256 --precision bf16) reg=(-b 256) rec=(-b 64 --precision bf16)
minutes=(24 12 12 12) parts=(lfpw afw helen)
if [ "${SMOKE:-0}" = 1 ]; then
  CAMPAIGN=$WORK/campaign side=128 minutes=(0.002 0.002 0.002 0.002) parts=(lfpw)
  ae=(-b 2 -e 1 --train-count 2 --val-count 2 --show 0) lms=(--width 16 --blocks 1 -b 2 -e 1 --val-count 2)
  reg=(-b 2 -e 1 --train-count 2 --val-count 2) rec=(-b 2 -e 1 --train-count 2 --val-count 2)
fi
mkdir -p "$CAMPAIGN"
data=$(cd "$CAMPAIGN" && pwd)/data
CONFIG=$data/campaign.ini

pack() {
  local photos prepare=("$PYTHON" -m datasets.commands.prepare)
  photos=$("$PYTHON" -c 'import sys; from pathlib import Path; from common.config import read_local_config
print(read_local_config(Path(sys.argv[1])).dataset("w300"))' "$HOME_CONFIG")
  mkdir -p "$data"
  printf '[Paths]\ndata = .\noutputs = outputs\n' > "$CONFIG"
  "${prepare[@]}" w300 --from "$photos" --split train -i "$side" --out "$data/faces"
  "${prepare[@]}" w300 --from "$photos" --split common -i "$side" --out "$data/faces_val"
  "${prepare[@]}" w300 --from "$photos" --split train -i 128 --out "$data/landmarks"
  "${prepare[@]}" w300 --from "$photos" --split common -i 128 --out "$data/landmarks_val"
  for folder in ${PHOTOS:-}; do "${prepare[@]}" folder --from "$folder" --split full -i "$side" --out "$data/faces"; done
  "$PYTHON" -m recon3d.regression.prepare photos --config "$HOME_CONFIG" --from "$photos/images/train" --out "$data/regression"
  "$PYTHON" -m recon3d.regression.prepare photos --config "$HOME_CONFIG" --from "$photos/images/test" --out "$data/regression_val" --max-error 0
  for part in "${parts[@]}"; do
    "$PYTHON" -m recon3d.reconstruction.prepare --images "$photos/images/train/$part" --out "$data/aligned/$part"
  done
  "$PYTHON" -m recon3d.reconstruction.prepare --images "$photos/images/test/common/lfpw" --out "$data/aligned_val"
  rm -rf "$CAMPAIGN/pieces" && mkdir "$CAMPAIGN/pieces"
  tar -C "$CAMPAIGN" -cf - data | split -b 60m -a 4 - "$CAMPAIGN/pieces/data.tar."
  ls -l "$CAMPAIGN/pieces"
}

unpack() { cat "$CAMPAIGN"/pieces/data.tar.* | tar -C "$CAMPAIGN" -xf -; }

# piece SESSION MINUTES SCRIPT FLAGS…: at most PIECE seconds of a training that lasts MINUTES in all
piece() {
  local session=campaign_$1 total=$2 script=$3 code=0 start
  shift 3
  start=(--sessionname "$session")
  [ ! -d "$data/models/snapshots/$session" ] || start=(-r "$session")
  timeout --signal=TERM "$PIECE" "$PYTHON" "$script" --config "$CONFIG" "${start[@]}" --max-minutes "$total" --keep 2 "$@" || code=$?
  case $code in
    0) echo "$session: has had its $total minutes" ;;
    124 | 143) echo "$session: stopped after $PIECE seconds and saved; call again to go on" ;;
    *) return "$code" ;;
  esac
}

autoencoder() {
  piece autoencoder "${minutes[0]}" train_aae_unsupervised.py -i "$side" --resident 1 --dataset-train "$data"/faces/*/ --dataset-val "$data"/faces_val/*/ \
    --daug 2 --lr 8e-4 --beta1 0.5 --schedule cosine --warmup 0.03 "${ae[@]}"
}

landmarks() {
  piece landmarks "${minutes[1]}" train_landmarks_fast.py --dataset "$data"/landmarks/*/ --dataset-val "$data"/landmarks_val/*/ "${lms[@]}"
}

regressor() {
  piece regressor "${minutes[2]}" train_3dmm.py --data "$data/regression" --val-data "$data/regression_val" --face-model head --loss fwpdc --clip-norm 1 \
    --optimizer adamw --lr 2e-3 --schedule cosine --rotation 20 --scale 0.1 --shift 0.06 --colour 0.5 "${reg[@]}"
}

reconstructor() {
  piece reconstructor "${minutes[3]}" train_recon3d.py --data "$data"/aligned/*/ --val-data "$data/aligned_val" --backbone mobilenet_half \
    --lr 1e-3 --schedule cosine --warmup 0.06 --clip-norm 10 "${rec[@]}"
}

measure() {
  local snapshots=$data/models/snapshots
  CONFIG=$HOME_CONFIG
  score 'GPU campaign, direct network, 300-W common' none -c "$snapshots/campaign_landmarks" --dataset w300 --test-split common
}

[ $# -gt 0 ] || set -- pack autoencoder landmarks regressor reconstructor measure
for step in "$@"; do
  case $step in
    pack | unpack | autoencoder | landmarks | regressor | reconstructor | measure) "$step" ;;
    *) echo "error: '$step' is none of pack, unpack, autoencoder, landmarks, regressor, reconstructor, measure." >&2 && exit 2 ;;
  esac
done
