#!/usr/bin/env bash
# The bundled model pretrained/landmarks_fast: direct networks on 300-W train, which label other photos, and a smaller network on all
# of it. No paper's row. Expected: NME near pretrained/landmarks_fast/README.md. Hardware: 1 GPU, about 10 min (measured: one H200).
# Needs w300 in local_config.ini and folders of photos without labels in PHOTOS="DIR…", packed with a detector's boxes.
# SMOKE=1 runs the same commands in seconds on drawn photos, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
drawn w300
minutes() { [ "${SMOKE:-0}" = 1 ] && echo 0.005 || echo "$1"; }
faces=20000 batch=256
[ "${SMOKE:-0}" = 1 ] && faces=4 batch=2
"$PYTHON" -m datasets.commands.render "$WORK/rendered" --count "$faces"
fast() {
  "$PYTHON" train_landmarks_fast.py --config "$CONFIG" -b "$batch" --eval-every 3 --save-every 100 --test-split "${VAL_SPLIT:-train}" "$@"
}
fast --sessionname fast_teacher --width "${TEACHER_WIDTH:-64}" --dataset w300 --max-minutes "$(minutes 1.25)"
labelled=()
for folder in ${PHOTOS:-}; do
  "$PYTHON" -m landmarks.pseudo_labels fast_teacher --config "$CONFIG" --packed "$folder" --out "$WORK/labelled"
  labelled+=("$WORK/labelled/$(basename "$folder")")
done
repeats=(6 1)
for _ in "${labelled[@]}"; do repeats+=(1); done
fast --sessionname fast_student --width "${WIDTH:-48}" --dataset w300 "$WORK/rendered" "${labelled[@]}" --repeats "${repeats[@]}" \
  --max-minutes "$(minutes 6)"
"$PYTHON" -m landmarks.bundle fast_student "$WORK/landmarks_fast" --config "$CONFIG"
[ "${SMOKE:-0}" = 1 ] || { mkdir -p pretrained/landmarks_fast && cp "$WORK"/landmarks_fast/{config.json,model.safetensors} pretrained/landmarks_fast/; }
score 'bundled direct network, 300-W common (LFPW photos)' none -c "$WORK/landmarks_fast" --dataset w300 --test-split common
