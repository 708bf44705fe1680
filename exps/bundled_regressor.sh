#!/usr/bin/env bash
# The bundled model pretrained/regressor_120: MobileNet x0.5 for the embedded head, on 5,000 rendered heads and the 2,012 training
# photos of 300-W fitted with it. No paper's row. Expected: NME near pretrained/regressor_120/README.md on the 224 LFPW test photos,
# against their 68 points, printed as validation. Hardware: 1 CPU core, about 35 min. Needs w300 in local_config.ini.
# SMOKE=1 runs the same commands in seconds on a few rendered photos, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
drawn w300
photos=$("$PYTHON" -c 'import sys; from pathlib import Path; from common.config import read_local_config
print(read_local_config(Path(sys.argv[1])).dataset("w300"))' "$CONFIG")/images
"$PYTHON" -m recon3d.regression.prepare photos --config "$CONFIG" --from "$photos/train" --out "$WORK/head_photos"
"$PYTHON" -m recon3d.regression.prepare photos --config "$CONFIG" --from "$photos/test" --out "$WORK/head_test" --max-error 0
first=("$WORK/head_photos")
if [ "${SMOKE:-0}" != 1 ]; then
  "$PYTHON" -m recon3d.regression.prepare synthetic --config "$CONFIG" --out "$WORK/head_synthetic"
  first=("$WORK/head_synthetic" "$WORK/head_photos")
fi
common=(--sessionname regressor_head --arch mobilenet --width 0.5 --loss fwpdc --clip-norm 1 --optimizer adamw --weight-decay 1e-3
  -b 64 --schedule cosine --rotation 20 --scale 0.1 --shift 0.06 --colour 0.5 --blur 0.1 --jpeg 0.2)
TRAIN=(--face-model head --val-data "$WORK/head_test" --data "${first[@]}")
train_regressor 20 "${common[@]}" --lr 2e-3 --warmup 1
TRAIN=(--face-model head --val-data "$WORK/head_test" --data "$WORK/head_photos" "${first[@]}")
train_regressor 30 -r regressor_head --new-stage 1 "${common[@]}" --lr 1.2e-3
flags=(-c regressor_head --images "$photos/test/common/lfpw")
"$PYTHON" eval_recon3d.py --config "$CONFIG" --benchmark photos "${flags[@]}" --json "$WORK/score.json"
"$PYTHON" exps/append_result.py "$RESULTS" "MobileNet x0.5, embedded head" none "$WORK/score.json" \
  eval_recon3d.py --benchmark photos "${flags[@]}"
"$PYTHON" -m recon3d.regression.bundle regressor_head "$WORK/regressor_120" --config "$CONFIG"
[ "${SMOKE:-0}" = 1 ] || { mkdir -p pretrained/regressor_120 && cp "$WORK"/regressor_120/* pretrained/regressor_120/; }
