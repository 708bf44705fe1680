#!/usr/bin/env bash
# 3FabRec (CVPR 2020), 300-W table: common / challenging / full, inter-ocular.
# Expected NME 3.36 / 5.74 / 3.82 % (paperswithcode page of the paper, sure). Not run here: VGGFace2 and AffectNet are licensed.
# Hardware: one GPU; about 7 days for the autoencoder (the authors), hours for the landmarks.
# SMOKE=1 runs the same commands in seconds on drawings, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
drawn vggface2 affectnet w300
autoencoder
train train_aae_landmarks.py 150 -r aae --sessionname w300 --dataset w300 --test-split full --crop-source lm_ground_truth --daug 6
train train_aae_landmarks.py 250 -r w300 --dataset w300 --test-split full --crop-source lm_ground_truth --daug 6 --train-encoder 1
score '300-W common' '3.36 (paperswithcode)' -r w300 --dataset w300 --test-split common --crop-source lm_ground_truth
score '300-W challenging' '5.74 (paperswithcode)' -r w300 --dataset w300 --test-split challenging --crop-source lm_ground_truth
score '300-W full' '3.82 (paperswithcode)' -r w300 --dataset w300 --test-split full --crop-source lm_ground_truth
