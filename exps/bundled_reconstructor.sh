#!/usr/bin/env bash
# The bundled models pretrained/reconstructor and reconstructor_gcn: R-Net on MobileNet x0.5 and its mesh refiner for the embedded head,
# weakly on the 1,988 usable training photos of 300-W (twice an epoch) and on 4,992 rendered faces, whose shape is known. No paper's row.
# Expected: NME near pretrained/reconstructor/README.md on the 224 LFPW test photos. Hardware: 1 CPU core, about 50 min.
# Needs w300 in local_config.ini. It begins with the trunk of pretrained/regressor_120.
# SMOKE=1 runs the same commands in seconds on a few rendered photos, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
drawn w300
photos=$("$PYTHON" -c 'import sys; from pathlib import Path; from common.config import read_local_config
print(read_local_config(Path(sys.argv[1])).dataset("w300"))' "$CONFIG")/images
parts=(lfpw afw helen) data=()
[ "${SMOKE:-0}" = 1 ] && parts=(lfpw)
for part in "${parts[@]}"; do
  "$PYTHON" -m recon3d.reconstruction.prepare --images "$photos/train/$part" --out "$WORK/aligned/$part"
  data+=("$WORK/aligned/$part")
done
"$PYTHON" -m recon3d.reconstruction.prepare --images "$photos/test/common/lfpw" --out "$WORK/aligned/test"
common=(--config "$CONFIG" --val-data "$WORK/aligned/test")
if [ "${SMOKE:-0}" = 1 ]; then
  seen=("${data[@]}") rnet=(-e 1 -b 2 --train-count 2 --val-count 2) gcn=(-e 1 -b 2 --train-count 2 --val-count 2 --views 1)
else
  "$PYTHON" -m recon3d.reconstruction.prepare_synthetic "$WORK/aligned/synthetic" --root "${SYNTHETIC:-data/synthetic}"
  seen=("$WORK/aligned/synthetic" "${data[@]}") data=("${data[@]}" "${data[@]}" "$WORK/aligned/synthetic")
  rnet=(-e 8 -b 32 --lr 1e-3 --schedule cosine --warmup 0.0625 --clip-norm 10) gcn=(-e 2 -b 16 --views 1 --w-truth 200 --w-normal 30 --lr 3e-3)
fi
"$PYTHON" train_recon3d.py "${common[@]}" --data "${data[@]}" --backbone mobilenet_half --init-path regressor_120 \
  --sessionname reconstructor_head "${rnet[@]}"
"$PYTHON" train_recon3d.py "${common[@]}" --data "${seen[@]}" --stage gcn --rnet reconstructor_head --sessionname refiner_head "${gcn[@]}"
"$PYTHON" -m recon3d.inference.bundle reconstructor_head "$WORK/reconstructor" --refiner refiner_head --config "$CONFIG"
[ "${SMOKE:-0}" = 1 ] || for name in reconstructor reconstructor_gcn; do
  mkdir -p "pretrained/$name" && cp "$WORK/$name"/* "pretrained/$name/"
done
score=(-c "$WORK/reconstructor" --refiner "$WORK/reconstructor_gcn" --benchmark photos --images "$photos/test/common/lfpw")
"$PYTHON" eval_recon3d.py --config "$CONFIG" "${score[@]}" --json "$WORK/score.json"
"$PYTHON" exps/append_result.py "$RESULTS" "300-W LFPW, bundled reconstructor" none "$WORK/score.json" eval_recon3d.py "${score[@]}"
