"""Horizon's settings for horizon.py: Debian's, pointed at the Bullion of the environment. What an operator would write is in docs/compatibility.md."""

import os

from openstack_dashboard.settings import *  # noqa: F403

ALLOWED_HOSTS = ["127.0.0.1"]
SECRET_KEY = os.urandom(32).hex()
FILE_UPLOAD_TEMP_DIR = os.environ["HOME"]

OPENSTACK_KEYSTONE_URL = os.environ["OS_AUTH_URL"]
HORIZON_IMAGES_UPLOAD_MODE = os.environ["HORIZON_UPLOAD_MODE"]
HORIZON_CONFIG["user_home"] = "/project/images/"  # noqa: F405; the page where one arrives without this is of the Compute API
