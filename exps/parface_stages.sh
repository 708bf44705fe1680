#!/usr/bin/env bash
# ParFace-Net (FG 2024), all 2D stages as its README has them: 50 epochs L2 + adversarial + perceptual, 50 with L1 in the place of L2,
# 50 of in-domain inversion with a frozen decoder, 2D head 100, with encoder 100, then the same on 300W-LP (3DA-2D).
# Eight datasets without their labels, then Menpo's packing of 300-W and 300W-LP, cut by landmarks, adaptive wing; leaky ReLU, ImageNet
# start, no latent GAN, batch 32 and the rate 1e-4 of the head are its code's defaults. The critic is a real one with gradient penalty,
# weighed 0.001; upstream's ends in a sigmoid, weighed 1.
# Expected: no table of the paper could be found. Needs VGG-19 weights at [Paths] vgg19 and ResNet-18's in RESNET18 (not in smoke runs).
# Hardware: one GPU, days. SMOKE=1 runs the same commands in seconds on drawings, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
faces=(celeba wlp300 menpo2d ls3d neuroface meei palsy affectnet)
drawn "${faces[@]}"
perceptual=(--with-perceptual-loss 1 --p-loss-features 3 8 15 22)
imagenet=(--init-weights "${RESNET18:-data/models/resnet18.pth}")
[ "${SMOKE:-0}" = 1 ] && perceptual=(--with-perceptual-loss 0) imagenet=()
common=(--dataset-train "${faces[@]}" --normalize --daug 4 --input-size 256 --update-D-freq 1 --with-zgan 0 --with-wgan-gp 1 -b 32
  "${perceptual[@]}")
train train_aae_unsupervised.py 50 --sessionname parface_ae --activation leaky_relu "${imagenet[@]}" "${common[@]}" --with-l1-loss 0
train train_aae_unsupervised.py 100 -r parface_ae "${common[@]}" --with-l1-loss 1
train train_aae_unsupervised.py 150 -r parface_ae --train-decoder 0 "${common[@]}" --with-l1-loss 0
head=(--crop-source lm_ground_truth --use-adaptive-wing-loss 1 --normalize --lr-heatmaps 1e-4)
train train_aae_landmarks.py 250 -r parface_ae --sessionname parface_2d --dataset menpo2d "${head[@]}"
train train_aae_landmarks.py 350 -r parface_2d --train-encoder 1 --dataset menpo2d "${head[@]}"
train train_aae_landmarks.py 450 -r parface_2d --sessionname parface_3da --dataset wlp300 "${head[@]}"
train train_aae_landmarks.py 550 -r parface_3da --train-encoder 1 --dataset wlp300 "${head[@]}"
lms=(--crop-source lm_ground_truth)
score 'ParFace 2D stage on 300-W common' none -r parface_2d --dataset menpo2d --test-split common "${lms[@]}"
score 'ParFace 3DA-2D stage on 300W-LP val, box norm' none -r parface_3da --dataset wlp300 --test-split val --ocular-norm bb "${lms[@]}"
