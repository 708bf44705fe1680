#!/usr/bin/env bash
# The bundled model pretrained/landmarks_300w: autoencoder on 7,782 unlabelled faces (youtube_faces, 300-W train), then landmarks
# on the 2,012 training photos of 300-W. No paper's row: 3FabRec's 3.36 % (300-W common) had 2.1 million faces and 3,148 photos.
# Expected: NME near the figures of pretrained/landmarks_300w/README.md. Hardware: 2 CPU cores with AVX-512 bf16, about 1 h 15 min.
# Needs w300 and youtube_faces in local_config.ini. The validation set (youtube_faces test) only draws pictures and logs.
# SMOKE=1 runs the same commands in seconds on drawings, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
drawn w300 youtube_faces
common=(-i 128 --crop-source lm_ground_truth -b 32 --precision bf16 --seed 1 --schedule cosine)
train train_aae_unsupervised.py 6 --sessionname aae_bundled --dataset-train youtube_faces:unlabeled w300:train \
  --dataset-val w300:train --daug 2 --beta1 0.5 --lr 5e-4 --lr-latent 2e-5 --with-ssim-loss 1 --warmup 0.03 --eval-freq 2 "${common[@]}"
lms=(--dataset w300 --dataset-val youtube_faces:test --daug 3 --colour 0.3 --rec-share 0.25 --keep 3)
# encoder: 32 epochs by the linear read-out of coordinates from z alone, which costs a third of a heatmap step, then with heatmaps
train train_aae_landmarks.py 48 -r aae_bundled --sessionname lms_bundled --train-encoder 1 --encoder-batchnorm train --lr 1e-3 \
  --lr-heatmaps 1e-3 --warmup 0.02 --w-coords 0.1 --coords-epochs 32 --w-rec 0.15 --eval-freq 6 "${lms[@]}" "${common[@]}"
# heatmap head and decoder on the finished encoder
train train_aae_landmarks.py 59 -r lms_bundled --sessionname head_bundled --new-stage 1 --train-decoder 1 --lr 1e-3 \
  --lr-heatmaps 3e-3 --warmup 0.03 --w-coords 0.001 --w-rec 0.02 --eval-freq 4 "${lms[@]}" "${common[@]}"
"$PYTHON" -m landmarks.bundle head_bundled "$WORK/landmarks_300w" --readout coords --config "$CONFIG"
[ "${SMOKE:-0}" = 1 ] || { mkdir -p pretrained/landmarks_300w && cp "$WORK"/landmarks_300w/* pretrained/landmarks_300w/; }
score 'bundled, 300-W common (LFPW photos)' none -r "$WORK/landmarks_300w" --dataset w300 --test-split common --flip
