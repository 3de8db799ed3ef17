"""Networks by name: images in, logits of classes out.

- build: the registry, and a network of a name, size and width.
- from_monai: U-Nets and Swin UNETR as MONAI has them.
- hrnet, plain_unet, transunet: what MONAI lacks, one network a file.
"""

__all__ = []
