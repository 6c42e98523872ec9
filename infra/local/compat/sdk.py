"""What openstacksdk is asked to do. Run by the Python that has it, with OS_… in the environment; writes what worked and what failed as JSON.

    python sdk.py FILE OTHER-PROJECT NAME ADDRESS-OF-FILE
"""

import hashlib
import json
import pathlib
import sys
import time

import openstack
import openstack.version


def main(file, second, name, address):
    cloud = openstack.connect()
    done, failed = [], {}

    def step(what, do):
        try:
            value = do()
        except Exception as e:  # every failure is a finding
            failed[what] = f"{type(e).__name__}: {e}"
            return None
        if what not in done:
            done.append(what)
        return value

    def check(good, otherwise):
        if not good:
            raise AssertionError(otherwise)

    raw = {"disk_format": "raw", "container_format": "bare"}
    out = pathlib.Path(name + ".out")

    def download():
        cloud.image.download_image(image.id, output=str(out))
        check(out.read_bytes() == pathlib.Path(file).read_bytes(), "the bytes are not those that were uploaded")

    def stream():
        md5 = hashlib.md5()
        for chunk in cloud.image.download_image(image.id, stream=True).iter_content(1 << 20):
            md5.update(chunk)
        check(md5.hexdigest() == cloud.image.get_image(image.id).checksum, "the checksum differs")

    image = step("create_image", lambda: cloud.create_image(name, filename=file, wait=True, meta={"a": "b"}, **raw))
    if image:
        step("download_image", download)
        step("download_image (stream)", stream)
        step("update_image", lambda: cloud.image.update_image(image.id, name=name + "-2", visibility="shared"))
        step("find_image", lambda: check(cloud.image.find_image(name + "-2").id == image.id, "another was found"))
        step("images", lambda: next(i for i in cloud.image.images(name=name + "-2")))
        step("search_images", lambda: check(cloud.search_images(name + "-2"), "nothing was found"))
        step("add_tag", lambda: cloud.image.add_tag(image.id, "t"))
        step("remove_tag", lambda: cloud.image.remove_tag(image.id, "t"))
        step("deactivate_image", lambda: cloud.image.deactivate_image(image.id))
        step("reactivate_image", lambda: cloud.image.reactivate_image(image.id))
        step("add_member", lambda: cloud.image.add_member(image.id, member_id=second))
        step("members", lambda: check([m.member_id for m in cloud.image.members(image.id)] == [second], "other members"))
        step("get_member", lambda: check(cloud.image.get_member(second, image.id).status == "pending", "it is not pending"))
        step("remove_member", lambda: cloud.image.remove_member(second, image.id))
        compute(step, check, cloud, image, name + "-2")
        step("delete_image", lambda: cloud.delete_image(image.id, wait=True))
    step("create_image (use_import)", lambda: cloud.image.create_image(name + "-3", filename=file, use_import=True, **raw))

    def staged(given):
        new = cloud.image.create_image(name + "-4", **raw)
        given(new)
        end = time.monotonic() + 60
        while cloud.image.get_image(new.id).status != "active":
            check(time.monotonic() < end, "it does not become active")
            time.sleep(0.2)

    def direct(new):
        cloud.image.stage_image(new, filename=file)
        cloud.image.import_image(new)

    step("stage_image, import_image", lambda: staged(direct))
    step("import_image (web-download)", lambda: staged(lambda new: cloud.image.import_image(new, method="web-download", uri=address)))
    if int(openstack.version.__version__.split(".")[0]) > 0:  # older ones want an id of what has none
        step("get_import_info", lambda: check("web-download" in cloud.image.get_import_info().import_methods["value"], "no web-download"))
    step("stores", lambda: check([s.id for s in cloud.image.stores()] == ["s3"], "other stores"))
    step("get_image_schema", lambda: cloud.image.get_image_schema())
    json.dump({"done": done, "failed": failed}, sys.stdout)


def compute(step, check, cloud, image, name):
    """The image calls of the Compute API."""
    step("compute.images", lambda: check(image.id in [i.id for i in cloud.compute.images()], "it is not among them"))
    step("compute.images (details)", lambda: check([i.status for i in cloud.compute.images(name=name)] == ["ACTIVE"], "it is not active"))
    step("compute.get_image", lambda: check(cloud.compute.get_image(image.id).size == cloud.image.get_image(image.id).size, "another size"))
    step("compute.set_image_metadata", lambda: cloud.compute.set_image_metadata(image.id, colour="blue"))
    step("compute.get_image_metadata", lambda: check(cloud.compute.get_image_metadata(image.id).metadata.get("colour") == "blue", "it is not kept"))
    step("compute.delete_image_metadata", lambda: cloud.compute.delete_image_metadata(image.id, keys=["colour"]))


main(*sys.argv[1:])
