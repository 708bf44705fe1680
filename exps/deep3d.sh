#!/usr/bin/env bash
# Deep3D (Deng et al. 2019), R-Net from photos and landmarks alone; AFLW2000-3D NME, mean of the yaw bins.
# Expected: 3.37 (paper, authors' detector; about 300k photos, two days of an M40). Not run here: photos and BFM are licensed.
# Hardware: one GPU. PHOTOS: training photos with 68 points (.pts) beside them; VAL: the same; AFLW2000: photos of the benchmark.
# MODEL: head (comes with this code) or bfm09:<folder>; IDENTITY: "--identity-network arcface --identity-weights r50.pth".
# SMOKE=1 runs the same commands in a minute on drawn heads, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
MODEL=${MODEL:-head}
PHOTOS=${PHOTOS:-data/photos/train}
VAL=${VAL:-data/photos/val}
PREPARED=${PREPARED:-data/prepared}
common=(--face-model "$MODEL" --sessionname deep3d)
score=(--images "${AFLW2000:-data/AFLW2000}" --benchmark aflw2000 --five detector)
if [ "${SMOKE:-0}" = 1 ]; then
  [ -d "$WORK/weak" ] || "$PYTHON" -m datasets.synthetic "$WORK/weak" --dataset w300 --count 4
  { echo "[Paths]"; echo "data = $WORK/data"; echo "outputs = $WORK/outputs"; } > "$CONFIG"
  PHOTOS=$WORK/weak_photos VAL=$WORK/weak_photos PREPARED=$WORK/prepared
  mkdir -p "$PHOTOS"
  find "$WORK/weak" -name '*.pts' | sort | head -4 | nl -ba | while read -r number points; do
    cp "$points" "$PHOTOS/face$number.pts"
    for suffix in png jpg; do [ ! -f "${points%.pts}.$suffix" ] || cp "${points%.pts}.$suffix" "$PHOTOS/face$number.$suffix"; done
  done
  common+=(--epochs 1 -b 2 --train-count 4 --val-count 2 --backbone resnet18)
  score=(--benchmark photos --images "$PHOTOS" --count 2)
else
  common+=(--epochs 20 -b 32 --backbone resnet50 ${INIT:+--init-path "$INIT"} ${IDENTITY:-})
fi
"$PYTHON" -m datasets.prepare_recon3d --images "$PHOTOS" --out "$PREPARED/train"
"$PYTHON" -m datasets.prepare_recon3d --images "$VAL" --out "$PREPARED/val"
"$PYTHON" train_recon3d.py --config "$CONFIG" --data "$PREPARED/train" --val-data "$PREPARED/val" "${common[@]}"
"$PYTHON" eval_recon3d.py --config "$CONFIG" -c deep3d "${score[@]}" --json "$WORK/score.json"
"$PYTHON" exps/append_result.py "$RESULTS" "Deep3D R-Net, AFLW2000-3D" "3.37" "$WORK/score.json" eval_recon3d.py -c deep3d "${score[@]}"
