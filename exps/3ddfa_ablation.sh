#!/usr/bin/env bash
# The ablation of 3DDFA (PDC, VDC, WPDC, WPDC then VDC) and V2's fWPDC then VDC on real photos that need no licence: MobileNet x0.5 from
# scratch on fits of the published mb05 model; NME in % of the box against the 68 annotated points of the LFPW test photos.
# Expected: the order of 3DDFA's README (its figures are for AFLW2000-3D); ours are in docs/results/regression.md. Optimiser, rates and lengths are ours:
# 5,300 photos need AdamW, the published SGD rates do not move in so few steps. Hardware: 1 CPU core, about an hour.
# FITS: npz of image names, roi, params; PHOTOS: folder its names count from; TEST: photos with .pts; MODEL: face model of the fits.
# SMOKE=1 runs the same commands in seconds on drawn heads, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
drawn w300
drawn_heads
if [ "${SMOKE:-0}" = 1 ]; then
  TEST=$WORK/drawn/w300/images/test
  MODEL=head losses=(fwpdc) first=(fwpdc)
else
  "$PYTHON" -m recon3d.regression.prepare fits --config "$CONFIG" --from "${FITS:?}" --photos "${PHOTOS:?}" --out "$WORK/fits"
  TRAIN=(--data "$WORK/fits" --face-model "$MODEL")
  losses=(pdc vdc wpdc fwpdc) first=(wpdc fwpdc)
fi
common=(--arch mobilenet --width 0.5 --clip-norm 1 --optimizer adamw --weight-decay 1e-3 --schedule cosine -b 64 --colour 0.5)
[ "${SMOKE:-0}" = 1 ] || common+=(--rotation 20 --scale 0.1 --shift 0.06)
photos() {
  local flags=(-c "ablation_$1" --face-model "$MODEL" --images "${TEST:?}")
  "$PYTHON" eval_recon3d.py --config "$CONFIG" --benchmark photos "${flags[@]}" --json "$WORK/score.json"
  "$PYTHON" exps/append_result.py "$RESULTS" "mb05's fits, $1" none "$WORK/score.json" eval_recon3d.py --benchmark photos "${flags[@]}"
}
for loss in "${losses[@]}"; do
  train_regressor 20 --sessionname "ablation_$loss" --loss "$loss" "${common[@]}" --lr 2e-3 --warmup 1
  photos "$loss"
done
for loss in "${first[@]}"; do
  train_regressor 28 -r "ablation_$loss" --new-stage 1 --sessionname "ablation_${loss}_vdc" --loss vdc "${common[@]}" --lr 5e-4
  photos "${loss}_vdc"
done
