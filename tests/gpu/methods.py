"""Every method of the training scripts, small, on any device, with a batch for it: name → builder."""

from types import SimpleNamespace

import numpy as np
import torch

from common.runtime import make_accelerator
from datasets.augment import Augmentation, BatchTransform
from datasets.loader import RawBatch
from datasets.readers.threedfaw import Keypoints
from depthnet.method import AIGNMethod, DepthNetMethod
from depthnet.models import seed_weights
from depthnet.pairs import PairSampler, PositionBatch
from depthnet.replacement.domains import Domains
from depthnet.replacement.training import CycleGANMethod, CycleGANSettings
from depthnet.settings import TrainSettings
from geometry.cameras import pinhole
from geometry.mesh.normals import vertex_normals
from geometry.schemes import IBUG_68, generic_scheme
from landmarks.autoencoder import AutoencoderMethod
from landmarks.landmark_training import DepthMethod, LandmarkMethod
from landmarks.net_settings import LandmarkNetSettings
from landmarks.net_training import LandmarkNetMethod, new_networks
from landmarks.settings import DepthSettings, LandmarkSettings, UnsupervisedSettings
from morphable.open import load_face_model
from networks.aae import AAE, AAEConfig
from networks.aign import AIGN, AIGNConfig
from networks.cyclegan import CycleGAN, CycleGANConfig
from networks.depthnet import DepthNet, DepthNetConfig
from networks.face_embedding import FaceEmbedding, FaceEmbeddingConfig
from networks.graph_generators import FaceCritic
from networks.regressors import RegressorConfig
from recon3d.identity.data import PeopleBatch
from recon3d.identity.method import IdentityMethod, IdentityTraining
from recon3d.identity.settings import IdentitySettings
from recon3d.reconstruction.coefficients import config_for
from recon3d.reconstruction.data import PhotoBatch
from recon3d.reconstruction.method import ReconstructionMethod
from recon3d.reconstruction.models import ReconstructionNet
from recon3d.reconstruction.renderer import FaceRenderer
from recon3d.reconstruction.settings import ReconstructionSettings
from recon3d.refinement.method import RefinementBatch, RefinerMethod
from recon3d.refinement.pyramid import build_pyramid
from recon3d.refinement.refiner import MeshRefiner, RefinerConfig
from recon3d.refinement.texture_losses import TextureBatch
from recon3d.refinement.texture_method import TextureMethod, TextureRefiner
from recon3d.regression.augment import CropTransform
from recon3d.regression.data import RegressionBatch
from recon3d.regression.method import RegressionMethod
from recon3d.regression.models import ParameterRegressor
from recon3d.regression.params import Whitening
from recon3d.regression.settings import RegressionSettings

NEVER = 10**6  # steps between console lines, which cost a look at the device
POINTS = 5
SCHEME = generic_scheme(POINTS)
MOVES = Augmentation(4, occlusion=0.5, colour=0.5, blur=0.5, grey=0.5, noise=0.5)


def _crops(device, points=POINTS, size=182, dims=3):
    images = (torch.rand(2, 3, size, size) * 255).byte()
    landmarks = torch.rand(2, points, dims) * 90 + 46
    return RawBatch(images, landmarks, torch.ones(2, points), torch.arange(2)).to(device)


def _aae(device, **config):
    return AAE(AAEConfig(128, normalize=False, **config)).to(device, memory_format=torch.channels_last)


def autoencoder(accelerator):
    """All terms at once: pixels, structure, latent and image GAN."""
    settings = UnsupervisedSettings(with_gan=True, with_gen_loss=True, with_ssim_loss=True, print_every=NEVER)
    networks, transform = _aae(accelerator.device), BatchTransform(128, None, None, MOVES)
    return AutoencoderMethod(networks, settings, accelerator, transform, {}), _crops(accelerator.device)


def heatmaps(accelerator):
    """The landmark head of an autoencoder, with its encoder."""
    settings = LandmarkSettings(print_every=NEVER, train_encoder=True)
    networks = _aae(accelerator.device, num_landmarks=POINTS)
    transform = BatchTransform(128, None, SCHEME.flip_permutation, MOVES)
    return LandmarkMethod(networks, settings, accelerator, transform, SCHEME, {}), _crops(accelerator.device)


def depth_head(accelerator):
    """The depth head of an autoencoder."""
    networks = _aae(accelerator.device, num_landmarks=POINTS, depth_head=True)
    transform = BatchTransform(128, None, SCHEME.flip_permutation, MOVES)
    settings = DepthSettings(print_every=NEVER)
    return DepthMethod(networks, settings, accelerator, transform, SCHEME, {}), _crops(accelerator.device)


def landmark_net(accelerator):
    """The direct landmark network."""
    settings = LandmarkNetSettings(input_size=64, width=16, blocks=1)
    networks = new_networks(settings, IBUG_68).to(accelerator.device, memory_format=torch.channels_last)
    method = LandmarkNetMethod(networks, settings, accelerator, IBUG_68, {})
    return method, _crops(accelerator.device, 68, 91, dims=2)


def _pairs(device, count=32):
    faces = np.random.default_rng(0).normal(0, 1, (count, 66, 3)).astype(np.float32)
    keypoints = Keypoints(faces[..., :2], faces[..., 2], np.arange(count).astype(str), np.full(count, ""))
    return PairSampler(keypoints, device, 1, 0, 1)


def depthnet(accelerator):
    """DepthNet with its critic and the critic's penalty."""
    settings = TrainSettings(critic_norm="layer", dnorm=0.1)
    networks = DepthNet(DepthNetConfig(1, False, False, True, "layer"))
    seed_weights(networks, 0)
    networks = networks.to(accelerator.device).train()
    method = DepthNetMethod(networks, settings, accelerator, _pairs(accelerator.device), None, {})
    return method, PositionBatch(torch.arange(16, device=accelerator.device))


def aign(accelerator):
    """AIGN."""
    networks = AIGN(AIGNConfig(1, False))
    seed_weights(networks, 0)
    networks = networks.to(accelerator.device).train()
    settings = TrainSettings(network="aign")
    method = AIGNMethod(networks, settings, accelerator, _pairs(accelerator.device), None, {})
    return method, PositionBatch(torch.arange(8, device=accelerator.device))


def cyclegan(accelerator):
    """Face repair."""
    pictures = np.random.default_rng(0).integers(0, 255, (2, 16, 3, 32, 32)).astype(np.uint8)
    networks = CycleGAN(CycleGANConfig(3, 3, 8, 1)).to(accelerator.device)
    method = CycleGANMethod(networks, Domains(*pictures), CycleGANSettings(task="faceswap"), accelerator, 4)
    return method, PositionBatch(torch.arange(4))


def regressor(accelerator):
    """3DMM regression."""
    model = load_face_model("head").to(accelerator.device)
    identity, expression, _ = model.sizes
    config = RegressorConfig("mobilenet", 0.25, 120, identity=identity, expression=expression)
    whitening = Whitening(torch.zeros(config.outputs), torch.ones(config.outputs))
    networks = ParameterRegressor(config, whitening, face_model="head").to(accelerator.device)
    method = RegressionMethod(
        networks, RegressionSettings(loss="fwpdc"), accelerator, CropTransform(120), model, 1.0, {}
    )
    parameters = 0.1 * torch.randn(4, config.outputs)
    images = (torch.rand(4, 3, 120, 120) * 255).byte()
    batch = RegressionBatch(images, parameters, torch.arange(4), torch.full((4, 68, 2), torch.nan))
    return method, batch.to(accelerator.device)


def reconstructor(accelerator):
    """R-Net with its renderer."""
    model = load_face_model("head").to(accelerator.device)
    networks = ReconstructionNet(config_for(model, "mobilenet_half"), "head").to(accelerator.device)
    renderer = FaceRenderer(model, networks.camera)
    method = ReconstructionMethod(networks, renderer, ReconstructionSettings(), accelerator, {})
    size = 224
    parts = (torch.rand(2, 3, size, size) * 255).byte(), torch.rand(2, 68, 2) * size
    masks = torch.full((2, 1, size, size), 255, dtype=torch.uint8)
    truths = torch.full((2, model.sizes[0] + model.sizes[1]), torch.nan)
    return method, PhotoBatch(*parts, masks, torch.arange(2), truths).to(accelerator.device)


def refiner(accelerator):
    """The mesh refiner, on given shapes."""
    device = accelerator.device
    model = load_face_model("head").to(device)
    pose = torch.eye(3, device=device).expand(2, 3, 3), torch.zeros(2, 3, device=device)
    codes = torch.randn(2, 6, device=device)
    made = RefinementBatch(codes, model.shape(codes[:, :3]), *pose, truth=model.shape(codes))
    pyramid = build_pyramid(model.mean.cpu(), model.triangles.cpu())
    networks = MeshRefiner(RefinerConfig(6), pyramid, "head").to(device)
    method = RefinerMethod(
        networks, model, accelerator, lambda raw, step: made, lambda s, b: model.points(s, "ibug68")[..., :2], None
    )
    return method, SimpleNamespace(indices=torch.arange(2, device=device))


def texture(accelerator):
    """Albedo per vertex, with its critic."""
    device = accelerator.device
    model = load_face_model("head").to(device)
    vertices = model.shape(torch.zeros(2, 1, device=device))
    batch = TextureBatch(
        features=torch.randn(2, 5, device=device),
        albedo=model.albedo_mean.expand(2, -1, -1).clamp(0, 1),
        photo=torch.rand(2, 3, 224, 224, device=device),
        skin=torch.ones(2, 224, 224, device=device),
        screen=pinhole(vertices, 1015.0, (112.0, 112.0), 10.0),
        normals=vertex_normals(vertices, model.triangles),
        shading=torch.full_like(vertices, 0.7),
    )
    networks = TextureRefiner(5, build_pyramid(model.mean.cpu(), model.triangles.cpu()), "head").to(device)
    features = torch.nn.Sequential(torch.nn.AvgPool2d(32), torch.nn.Flatten())
    critic = FaceCritic().to(device)
    return TextureMethod(networks, model, accelerator, lambda raw, step: raw, None, features, critic), batch


def identity(accelerator):
    """The embedding of people."""
    networks = IdentityTraining(FaceEmbedding(FaceEmbeddingConfig(16, 1, 32, 16)), 3).to(accelerator.device)
    method = IdentityMethod(networks, IdentitySettings(jpeg=0.0), accelerator, {})  # JPEGs are made by the host
    images = (torch.rand(4, 3, 159, 159) * 255).byte()
    parts = (images, torch.tensor([0, 1, 2, 0]), torch.arange(4))
    return method, PeopleBatch(*(part.to(accelerator.device) for part in parts))


METHODS = {
    builder.__name__: builder
    for builder in (
        autoencoder,
        heatmaps,
        depth_head,
        landmark_net,
        depthnet,
        aign,
        cyclegan,
        regressor,
        reconstructor,
        refiner,
        texture,
        identity,
    )
}
BF16 = ("autoencoder", "heatmaps", "depth_head", "landmark_net", "regressor", "reconstructor", "identity")


def build(name, device="cpu", precision="no"):
    """(method, batch on the device)."""
    torch.manual_seed(0)
    return METHODS[name](make_accelerator(device, precision))
