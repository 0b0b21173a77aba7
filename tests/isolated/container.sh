#!/usr/bin/env bash
# Builds deploy/Containerfile without a registry, and uses the image as its user: container.sh PYTHON
#
# Its base is made by debootstrap, of the same release of Debian. The image is run by chroot, with its own user,
# environment, entry point and health check, on a file system that is read-only.
# CONTAINER_BUILD has more arguments for `buildah build`, for mirrors and authorities of the place where it runs;
# DEBIAN_MIRROR is where the base comes from.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "container.sh needs root: it makes and enters root file systems" >&2; exit 1; }
# What is mounted here is mounted for nobody else, and goes with the last process.
[ "${CONTAINER_NAMESPACE:-}" ] || CONTAINER_NAMESPACE=1 exec unshare --mount --propagation private "$0" "$@"
python=$(realpath --no-symlinks "$1")
cd "$(dirname "$0")/../.."
elsewhere=$(mktemp -d)
mounted=$elsewhere/mounted
finish() {
  for place in "$mounted/tmp" "$mounted/var/lib/sigil" "$mounted/proc" "$mounted/dev" "$mounted"; do
    ! mountpoint --quiet "$place" || umount "$place"
  done
  rm -rf --one-file-system "$elsewhere"
}
trap finish EXIT
build=(buildah --root "$elsewhere/storage" --runroot "$elsewhere/run" --storage-driver vfs)

# -- the base, under the name that the container file knows -------------------
base=$(sed -n 's/^ARG BASE=//p' deploy/Containerfile)
debootstrap --variant=minbase bookworm "$elsewhere/base" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} \
  >"$elsewhere/log" 2>&1 || { tail -n 20 "$elsewhere/log"; exit 1; }
empty=$("${build[@]}" from scratch)
"${build[@]}" add --quiet "$empty" "$elsewhere/base" / >/dev/null
"${build[@]}" commit --quiet --rm "$empty" "$base" >/dev/null
# What debootstrap has downloaded is in no published base.
rm -rf "$elsewhere"/base/var/cache/apt/* "$elsewhere"/base/var/lib/apt/lists/*
base_size=$(du -sm "$elsewhere/base" | cut -f 1)
rm -rf --one-file-system "$elsewhere/base"

# -- the image ----------------------------------------------------------------
# shellcheck disable=SC2086 # several arguments
"${build[@]}" build --pull-never --isolation chroot --network host --format docker ${CONTAINER_BUILD:-} \
  --file deploy/Containerfile --tag sigil:check . \
  >"$elsewhere/log" 2>&1 || { tail -n 40 "$elsewhere/log"; exit 1; }
"${build[@]}" inspect --type image sigil:check >"$elsewhere/config.json"
container=$("${build[@]}" from --pull-never sigil:check)
root=$("${build[@]}" mount "$container")
echo "built: $(du -sm "$root" | cut -f 1) MB, of them the base $base_size MB"
for stranger in g++ gcc cc pip pip3 curl; do
  ! chroot "$root" /bin/sh -c "command -v $stranger" || { echo "$stranger is in the image" >&2; exit 1; }
done

# -- as it is run: read-only but for the data folder and /tmp -----------------
mkdir "$mounted"
mount --bind "$root" "$mounted"
mount --options remount,bind,ro "$mounted"
mount --bind /dev "$mounted/dev"
mount --types proc proc "$mounted/proc"
mount --types tmpfs --options mode=1777,size=64m tmpfs "$mounted/tmp"
mount --types tmpfs --options mode=0700,uid=10001,gid=10001,size=64m tmpfs "$mounted/var/lib/sigil"
"$python" tests/isolated/container_use.py "$elsewhere/config.json" "$mounted"
