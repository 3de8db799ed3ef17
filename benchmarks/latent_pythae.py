"""pythae's trainer with our encoder and decoder; used by `latent_worker.py`.

pythae lies in a folder of its own that `latent.py` puts on the path.
"""

import logging
import tempfile

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig

from radlatent.nn import log_variance_of


class Encoder(BaseEncoder):
    """Our encoder in pythae's form."""

    def __init__(self, model):
        super().__init__()
        self.model = torch.nn.ModuleList([model.encoder, model.mean])
        self.log_variance, self.encode = model.log_variance, [model.encode]

    def forward(self, x):
        """Return mean and log variance of the posterior."""
        posterior = self.encode[0](x)
        variance = log_variance_of(posterior)
        return ModelOutput(embedding=posterior.mean, log_covariance=variance)


class Decoder(BaseDecoder):
    """Our decoder in pythae's form."""

    def __init__(self, model):
        super().__init__()
        self.model = model.decoder

    def forward(self, z):
        """Return the reconstruction."""
        return ModelOutput(reconstruction=self.model(z))


class Trainer(BaseTrainer):
    """pythae's trainer with a clock around the steps of an epoch, loader included.

    What it does between epochs, copying the best model for instance, is not counted.
    """

    def train_step(self, epoch):
        """Take the time of an epoch."""
        self.clock.last = self.clock.now()
        loss = super().train_step(epoch)
        self.clock.lap()
        return loss


def train(model, x, task, clock):
    """Return the seconds a step, and the loss at the start."""
    # its handlers print each epoch, which is no part of the work
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("pythae"):
            logging.getLogger(name).setLevel(logging.ERROR)
    config = VAEConfig(input_dim=tuple(x.shape[1:]), latent_dim=model.mean.out_features)
    peer = VAE(config, encoder=Encoder(model), decoder=Decoder(model))
    torch.manual_seed(1)
    first = float(peer({"data": x[: task["minibatch"]]}).loss)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=peer,
            train_dataset=BaseDataset(x, torch.zeros(len(x))),
            training_config=BaseTrainerConfig(
                output_dir=folder,
                num_epochs=task["epochs"],
                learning_rate=task["rate"],
                optimizer_cls="AdamW",
                optimizer_params={"weight_decay": 0.0},
                per_device_train_batch_size=task["minibatch"],
                no_cuda=task["device"] == "cpu",
            ),
        )
        trainer.clock = clock()
        trainer.train()
    return trainer.clock.per_step(len(trainer.train_loader)) | {"first_loss": first}
