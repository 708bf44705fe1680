#!/usr/bin/env bash
# The bundled model pretrained/regressor_120: the trunk of landmarks_fast with a linear head for the embedded head, on the training
# photos of 300-W (three times an epoch), more photos without labels ($PHOTOS, folders of one set each) and copies of 300-W's that
# are turned to yaws of 35 to 90 degrees. No paper's row. Expected: NME near pretrained/regressor_120/README.md on the 224 LFPW test
# photos. Hardware: 2 CPU cores, about 2 h. Needs w300 in local_config.ini; $TEACHER, the authors' mb05_120x120.pth with
# $TEACHER_MODEL as --teacher-model takes it, for depth and large yaws; without it the last bundled regressor is the teacher.
# SMOKE=1 runs the same commands in seconds on a few rendered photos, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
drawn w300
photos=$("$PYTHON" -c 'import sys; from pathlib import Path; from common.config import read_local_config
print(read_local_config(Path(sys.argv[1])).dataset("w300"))' "$CONFIG")/images
teacher=(--teacher "${TEACHER:-regressor_120}")
[ -z "${TEACHER_MODEL:-}" ] || teacher+=(--teacher-model "$TEACHER_MODEL")
"$PYTHON" -m recon3d.regression.prepare taught --config "$CONFIG" --from "$photos/train" --out "$WORK/taught_300w" "${teacher[@]}"
"$PYTHON" -m recon3d.regression.prepare profiled --config "$CONFIG" --from "$WORK/taught_300w" --out "$WORK/turned_300w" \
  --copies 2 --yaw-from 35
data=("$WORK/taught_300w" "$WORK/taught_300w" "$WORK/taught_300w" "$WORK/turned_300w" "$WORK/turned_300w")
for folder in ${PHOTOS:-}; do
  name=taught_$(basename "$folder")
  "$PYTHON" -m recon3d.regression.prepare taught --config "$CONFIG" --from "$folder" --out "$WORK/$name" "${teacher[@]}"
  data+=("$WORK/$name")
done
TRAIN=(--face-model head --data "${data[@]}")
train_regressor 6 --sessionname regressor_head --arch landmark_trunk --width 1.5 --trunk landmarks_fast \
  --loss l1 --landmark-weight 1 --optimizer adamw --lr 6e-4 --weight-decay 0.02 --schedule cosine --warmup 0.04 \
  --rotation 30 --scale 0.2 --shift 0.12 --flip 0.5 --occ 0.4 --colour 0.5 --blur 0.3 --jpeg 0.2 --grey 0.1 --noise 0.1 \
  -b 64 --precision bf16
flags=(-c regressor_head --images "$photos/test/common/lfpw")
"$PYTHON" eval_recon3d.py --config "$CONFIG" --benchmark photos "${flags[@]}" --json "$WORK/score.json"
"$PYTHON" exps/append_result.py "$RESULTS" "landmark trunk, embedded head" none "$WORK/score.json" \
  eval_recon3d.py --benchmark photos "${flags[@]}"
"$PYTHON" -m recon3d.regression.bundle regressor_head "$WORK/regressor_120" --config "$CONFIG"
[ "${SMOKE:-0}" = 1 ] || { mkdir -p pretrained/regressor_120 && cp "$WORK"/regressor_120/* pretrained/regressor_120/; }
