# Kernel images, built in the engine of DOCKER_HOST: `make images`, or one of them: `make image-r`.
# The engine's layer cache makes a repeated build a matter of a second or two.

IMAGES := $(patsubst images/%/Dockerfile,%,$(sort $(wildcard images/*/Dockerfile)))

# What this machine trusts beyond the published authorities, for a proxy on the way to the packages.
EXTRA_CA_FILES := $(wildcard /usr/local/share/ca-certificates/*.crt)
EXTRA_CA = $(if $(EXTRA_CA_FILES),--build-arg EXTRA_CA="$$(cat $(EXTRA_CA_FILES))")

images: $(IMAGES:%=image-%)

image-base:
	@images/base.sh

$(IMAGES:%=image-%): image-%: image-base
	@echo "image   segue/$*"
	@docker build --quiet --network host --tag segue/$* $(EXTRA_CA) images/$*

.PHONY: images image-base $(IMAGES:%=image-%)
