# Shared by all experiments: run from the repository's root, a smoke mode on drawings, one line per result.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -z "${PYTHON:-}" ]; then
  PYTHON=python3
  [ -x .venv/bin/python ] && PYTHON=.venv/bin/python
fi
# keep large blocks in the process: on a CPU this saves a third of a training step
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000
CONFIG=${CONFIG:-local_config.ini}
RESULTS=${RESULTS:-exps/results.jsonl}
WORK=${SMOKE_DIR:-$(mktemp -d)}  # SMOKE_DIR keeps the drawings and the autoencoder for the next smoke run
[ -n "${SMOKE_DIR:-}" ] || trap 'rm -rf "$WORK"' EXIT
if [ "${SMOKE:-0}" = 1 ]; then
  CONFIG=$WORK/local_config.ini
  RESULTS=$WORK/results.jsonl
fi

# drawn DATASET…: in smoke mode, draw the datasets and point the configuration at them
drawn() {
  [ "${SMOKE:-0}" = 1 ] || return 0
  local missing=()
  for d in "$@"; do [ -e "$WORK/drawn/$d.done" ] || missing+=("$d"); done
  if [ ${#missing[@]} != 0 ]; then
    "$PYTHON" -m datasets.synthetic.faces "$WORK/drawn" --dataset "${missing[@]}" --count 4
    for d in "${missing[@]}"; do touch "$WORK/drawn/$d.done"; done
  fi
  { echo "[Paths]"; echo "data = $WORK/data"; echo "outputs = $WORK/outputs"; for d in "$@"; do echo "$d = $WORK/drawn/$d"; done; } > "$CONFIG"
}

# train SCRIPT EPOCHS FLAGS…: --epochs is absolute; smoke runs are tiny whatever the flags say
train() {
  local script=$1 epochs=$2
  shift 2
  if [ "${SMOKE:-0}" = 1 ]; then
    SMOKE_EPOCH=$((${SMOKE_EPOCH:-0} + 1))
    "$PYTHON" "$script" --config "$CONFIG" "$@" --epochs "$SMOKE_EPOCH" -i 128 -b 2 --repeat 1 --train-count 2 --val-count 2
  else
    "$PYTHON" "$script" --config "$CONFIG" "$@" --epochs "$epochs"
  fi
}

# autoencoder: 3FabRec's three stages, trained once for all tables (session "aae")
autoencoder() {
  local snapshots data=(--dataset-train vggface2 affectnet --dataset-val vggface2 --daug 4)
  snapshots=$("$PYTHON" -c 'import sys; from pathlib import Path; from common.config import read_local_config
print(read_local_config(Path(sys.argv[1])).snapshots)' "$CONFIG")
  if [ -d "$snapshots/aae" ]; then
    SMOKE_EPOCH=3
    return
  fi
  train train_aae_unsupervised.py 1 --sessionname aae "${data[@]}"
  train train_aae_unsupervised.py 2 -r aae --with-gan 1 "${data[@]}"
  train train_aae_unsupervised.py 50 -r aae --with-gan 1 --with-ssim-loss 1 "${data[@]}"
}

# score NAME PAPER_VALUE FLAGS…: evaluate and append command, commit, seed, metric, paper value and ours
score() {
  local name=$1 paper=$2
  shift 2
  "$PYTHON" eval_landmarks.py --config "$CONFIG" --benchmark "$@" --json "$WORK/score.json"
  "$PYTHON" exps/append_result.py "$RESULTS" "$name" "$paper" "$WORK/score.json" eval_landmarks.py --benchmark "$@"
}

# drawn_heads: in smoke mode, draw heads in the layouts of train_3dmm.py and eval_recon3d.py, and point both there
drawn_heads() {
  MODEL=${MODEL:-3ddfa:$TDDFA/train.configs}
  TRAIN=(--data "$TDDFA/train.configs" --root "$TDDFA/train_aug_120x120" --face-model "$MODEL" --val-data "$TDDFA/train.configs")
  SCORE=(--truth "$TDDFA/test.configs" --images "$TDDFA/test.data/AFLW2000-3D_crop" --list "$TDDFA/test.data/AFLW2000-3D_crop.list" --face-model "$MODEL")
  [ "${SMOKE:-0}" = 1 ] || return 0
  [ -d "$WORK/heads" ] || "$PYTHON" -m recon3d.regression.drawn "$WORK/heads" --count 8
  { echo "[Paths]"; echo "data = $WORK/data"; echo "outputs = $WORK/outputs"; } > "$CONFIG"
  TRAIN=(--data "$WORK/heads/crops" --val-data "$WORK/heads/crops" --face-model head)
  SCORE=(--truth "$WORK/heads/test.configs" --images "$WORK/heads/images" --face-model head)
}

# train_regressor EPOCHS FLAGS…: --epochs is absolute; smoke runs take one epoch more than the last
train_regressor() {
  local epochs=$1
  shift
  if [ "${SMOKE:-0}" = 1 ]; then
    SMOKE_EPOCH=$((${SMOKE_EPOCH:-0} + 1))
    "$PYTHON" train_3dmm.py --config "$CONFIG" "${TRAIN[@]}" "$@" --epochs "$SMOKE_EPOCH" -b 4 --train-count 4 --val-count 4
  else
    "$PYTHON" train_3dmm.py --config "$CONFIG" "${TRAIN[@]}" "$@" --epochs "$epochs"
  fi
}

# score_regressor NAME PAPER_VALUE FLAGS…: AFLW2000-3D, mean of the yaw bins
score_regressor() {
  local name=$1 paper=$2
  shift 2
  "$PYTHON" eval_recon3d.py --config "$CONFIG" --benchmark aflw2000 "${SCORE[@]}" "$@" --json "$WORK/score.json"
  "$PYTHON" exps/append_result.py "$RESULTS" "$name" "$paper" "$WORK/score.json" eval_recon3d.py --benchmark aflw2000 "$@"
}
TDDFA=${TDDFA:-data/3ddfa}  # 3DDFA's train.configs, train_aug_120x120, test.configs and test.data
# depth_data: in smoke mode, draw a small data set in 3DFAW's layout; else DEPTH_DATASET names a key of the configuration
DEPTH_DATASET=${DEPTH_DATASET:-threedfaw}
depth_data() {
  [ "${SMOKE:-0}" = 1 ] || return 0
  DEPTH_DATASET=threedfaw
  [ -d "$WORK/drawn/threedfaw" ] || "$PYTHON" -m datasets.synthetic.depth "$WORK/drawn/threedfaw" --train 64 --valid 8 --per-pose 3
  { echo "[Paths]"; echo "data = $WORK/data"; echo "outputs = $WORK/outputs"; echo "threedfaw = $WORK/drawn/threedfaw"; } > "$CONFIG"
}

# train_depth SESSION EPOCHS FLAGS…: five seeds side by side
train_depth() {
  local session=$1 epochs=$2
  shift 2
  local size=(--seeds "${SEEDS:-5}" --epochs "$epochs")
  [ "${SMOKE:-0}" = 1 ] && size=(--seeds 2 --epochs 1 --batchsize 16)
  "$PYTHON" train_depthnet.py --config "$CONFIG" --dataset "$DEPTH_DATASET" --sessionname "$session" --resume auto "$@" "${size[@]}"
}

# score_depth NAME PAPER_VALUE SESSION: all pairs of the test faces with the controls; one line with mean and deviation over seeds
score_depth() {
  "$PYTHON" eval_depthnet.py --config "$CONFIG" --dataset "$DEPTH_DATASET" -c "$3" --compute-stats --json "$WORK/depth.json"
  "$PYTHON" exps/append_depth.py "$RESULTS" "$1" "$2" "$WORK/depth.json"
}

# weak_data: photos prepared for train_recon3d.py in WEAK; in smoke mode of four drawn heads, with a tiny SIZE
weak_data() {
  MODEL=${MODEL:-head}
  PHOTOS=${PHOTOS:-data/photos/train} VAL=${VAL:-data/photos/val} PREPARED=${PREPARED:-data/prepared}
  WEAK_SCORE=(--images "${AFLW2000:-data/AFLW2000}" --benchmark aflw2000 --five detector)
  SIZE=()
  if [ "${SMOKE:-0}" = 1 ]; then
    [ -d "$WORK/weak" ] || "$PYTHON" -m datasets.synthetic.faces "$WORK/weak" --dataset w300 --count 4
    { echo "[Paths]"; echo "data = $WORK/data"; echo "outputs = $WORK/outputs"; } > "$CONFIG"
    PHOTOS=$WORK/weak_photos VAL=$WORK/weak_photos PREPARED=$WORK/prepared
    mkdir -p "$PHOTOS"
    find "$WORK/weak" -name '*.pts' | sort | head -4 | nl -ba | while read -r number points; do
      cp "$points" "$PHOTOS/face$number.pts"
      for suffix in png jpg; do [ ! -f "${points%.pts}.$suffix" ] || cp "${points%.pts}.$suffix" "$PHOTOS/face$number.$suffix"; done
    done
    WEAK_SCORE=(--benchmark photos --images "$PHOTOS" --count 2)
    SIZE=(--epochs 1 -b 2 --train-count 4 --val-count 2)
  fi
  "$PYTHON" -m recon3d.reconstruction.prepare --images "$PHOTOS" --out "$PREPARED/train"
  "$PYTHON" -m recon3d.reconstruction.prepare --images "$VAL" --out "$PREPARED/val"
  WEAK=(--data "$PREPARED/train" ${RENDERED:+"$RENDERED"} --val-data "$PREPARED/val")
}

# rnet: Deep3D's R-Net, trained once for all tables (session "deep3d")
rnet() {
  local snapshots backbone=(--epochs 20 -b 32 --backbone resnet50 ${INIT:+--init-path "$INIT"} ${IDENTITY:-})
  snapshots=$("$PYTHON" -c 'import sys; from pathlib import Path; from common.config import read_local_config
print(read_local_config(Path(sys.argv[1])).snapshots)' "$CONFIG")
  [ ! -d "$snapshots/deep3d" ] || return 0
  [ "${SMOKE:-0}" = 1 ] && backbone=(--backbone resnet18 "${SIZE[@]}")
  "$PYTHON" train_recon3d.py --config "$CONFIG" "${WEAK[@]}" --face-model "$MODEL" --sessionname deep3d "${backbone[@]}"
}

# score_weak NAME PAPER_VALUE FLAGS…: AFLW2000-3D, mean of the yaw bins; in smoke mode the drawn photos
score_weak() {
  local name=$1 paper=$2
  shift 2
  "$PYTHON" eval_recon3d.py --config "$CONFIG" "$@" "${WEAK_SCORE[@]}" --json "$WORK/score.json"
  "$PYTHON" exps/append_result.py "$RESULTS" "$name" "$paper" "$WORK/score.json" eval_recon3d.py "$@" "${WEAK_SCORE[@]}"
}
