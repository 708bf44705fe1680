#!/usr/bin/env bash
# The bundled model pretrained/reconstructor: R-Net on the trunk of pretrained/regressor_120 for the embedded head, its heads first,
# then all of it, on the packed crops of bundled_regressor.sh (photos with the shapes of their fits) and on rendered faces, whose
# shape is known. Light and albedo are not learnt: they are solved for in closed form. No paper's row.
# Expected: NME near pretrained/reconstructor/README.md on the 224 LFPW test photos. Hardware: 2 CPU cores, about 45 min.
# Needs w300 in local_config.ini; $PACKED: more folders of recon3d.regression.prepare taught.
# SMOKE=1 runs the same commands in seconds on a few rendered photos, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
drawn w300
photos=$("$PYTHON" -c 'import sys; from pathlib import Path; from common.config import read_local_config
print(read_local_config(Path(sys.argv[1])).dataset("w300"))' "$CONFIG")/images
[ -d "$WORK/taught_300w" ] || "$PYTHON" -m recon3d.regression.prepare taught --config "$CONFIG" --from "$photos/train" \
  --out "$WORK/taught_300w"
data=()
for packed in "$WORK/taught_300w" ${PACKED:-}; do
  "$PYTHON" -m recon3d.reconstruction.prepare_packed "$packed" "$WORK/aligned/$(basename "$packed")" --count 2500
  data+=("$WORK/aligned/$(basename "$packed")")
done
if [ "${SMOKE:-0}" = 1 ]; then
  heads=(-e 1 -b 2 --train-count 2) whole=(-e 2 -b 2 --train-count 2)
else
  "$PYTHON" -m recon3d.reconstruction.prepare_synthetic "$WORK/aligned/synthetic" --root "${SYNTHETIC:-data/synthetic}"
  data+=("$WORK/aligned/synthetic")
  heads=(-e 5 -b 64 --lr 4e-4 --warmup 0.05) whole=(-e 9 -b 64 --lr 3e-4 --warmup 0.1)
fi
common=(--config "$CONFIG" --backbone landmark_trunk --w-color 0 --lm-norm l1 --w-lm 0.08 --clip-norm 10 --schedule cosine --precision bf16
  --sessionname reconstructor_head)
"$PYTHON" train_recon3d.py "${common[@]}" --data "${data[@]}" --init-path regressor_120 --freeze-backbone 1 "${heads[@]}"
"$PYTHON" train_recon3d.py "${common[@]}" --data "${data[@]}" "${data[-1]}" "${data[-1]}" -r reconstructor_head --new-stage 1 --w-shape 0.2 \
  "${whole[@]}"
"$PYTHON" -m recon3d.inference.bundle reconstructor_head "$WORK/reconstructor" --config "$CONFIG"
[ "${SMOKE:-0}" = 1 ] || { mkdir -p pretrained/reconstructor && cp "$WORK"/reconstructor/* pretrained/reconstructor/; }
score=(-c "$WORK/reconstructor" --refiner none --benchmark photos --images "$photos/test/common/lfpw")
"$PYTHON" eval_recon3d.py --config "$CONFIG" "${score[@]}" --json "$WORK/score.json"
"$PYTHON" exps/append_result.py "$RESULTS" "300-W LFPW, bundled reconstructor" none "$WORK/score.json" eval_recon3d.py "${score[@]}"
