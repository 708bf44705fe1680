#!/usr/bin/env bash
# Few labels after training on rendered faces: 50 and 10 labelled photos of 300-W train, three draws each, with and without 5,000
# synthetic faces (rendered on first use) first. No paper's row. Expected: NME near the table "Few labels" of docs/results/landmarks.md.
# Hardware: 2 CPU cores, about 40 min. Needs w300 in local_config.ini. SMOKE=1 runs the same commands on a few faces.
source "$(dirname "$0")/common.sh"
drawn w300 folder
rendered=synthetic
[ "${SMOKE:-0}" = 1 ] && rendered=folder
common=(-i 128 --phases train --crop-source lm_ground_truth --precision bf16 --train-encoder 1 --encoder-batchnorm train --lr 1e-3
  --lr-heatmaps 3e-3 --warmup 0.05 --schedule cosine --daug 3 --colour 0.3 --w-coords 1 --coords-epochs 99)
train train_aae_landmarks.py 3 --sessionname synth --dataset "$rendered" --seed 1 -b 32 "${common[@]}"
seeds=(1 2 3)
[ "${SMOKE:-0}" = 1 ] && seeds=(1)
for seed in "${seeds[@]}"; do
  for labels in 50 10; do
    repeat=$((labels == 50 ? 32 : 96))  # 100 steps of 16, or 60
    few=(--dataset w300 -b 16 --train-count "$labels" --train-seed "$seed" --seed "$seed" --repeat "$repeat" "${common[@]}")
    train train_aae_landmarks.py 4 -r synth --new-stage 1 --sessionname "few_synth_${labels}_$seed" "${few[@]}"
    score "300-W LFPW, $labels labels after synthetic faces, seed $seed" none -r "few_synth_${labels}_$seed" --dataset w300 \
      --test-split common --crop-source lm_ground_truth --readout coords --flip
    [ "${SMOKE:-0}" = 1 ] && break
    train train_aae_landmarks.py 1 --sessionname "few_none_${labels}_$seed" "${few[@]}"
    score "300-W LFPW, $labels labels, seed $seed" none -r "few_none_${labels}_$seed" --dataset w300 --test-split common \
      --crop-source lm_ground_truth --readout coords --flip
  done
done
