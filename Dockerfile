FROM python:3.13-slim AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# strip takes 10 MB of debugging symbols out of uvloop; it stays in this stage.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml README.md ./
COPY app ./app
# pip stays out of what is copied; of the packages, what only their developers need. What is installed is this
# folder, and pyproject.toml has the ranges of the rest.
# hadolint ignore=DL3013
RUN python -m venv --without-pip /opt/dibs \
    && pip --python /opt/dibs/bin/python install --no-cache-dir --disable-pip-version-check '.[postgres]' \
    && find /opt/dibs -name '*.so' -exec strip --strip-unneeded {} + \
    && find /opt/dibs \( -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' -o -name '*.c' \) -delete \
    && find /opt/dibs -type d -name tests -prune -exec rm -r {} +

# The balancer of the profile cluster in docker-compose.yml; nothing of it is in the image of dibs. Debian's package
# makes the user, with a number of its own choice.
FROM python:3.13-slim AS balancer
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends haproxy && rm -rf /var/lib/apt/lists/*
# hadolint ignore=DL3066
USER haproxy
EXPOSE 8000
STOPSIGNAL SIGUSR1
CMD ["haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg"]

FROM python:3.13-slim
# No shell, no package manager is needed at run time; the process owns nothing but its data.
RUN groupadd --system --gid 10001 dibs \
    && useradd --system --uid 10001 --gid dibs --home-dir /data --no-create-home --shell /usr/sbin/nologin dibs \
    && install --directory --owner=dibs --group=dibs --mode=0750 /data
COPY --from=build /opt/dibs /opt/dibs
ENV PATH=/opt/dibs/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /data
EXPOSE 8000
STOPSIGNAL SIGTERM
# /readyz is 200 while hand-outs can be answered. bash looks in 2 ms and 4 MB; a Python would take 50 ms.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8000 && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && read -r -t 4 line <&3 && [[ $line == *' 200 '* ]]"]
# Every host name may ask, since nobody knows here what this container is called. It starts with a token, mounted as a
# secret (DIBS_ADMIN_TOKEN_FILE), or one that `dibs token new --role admin --data /data` made in its volume; without
# one only where DIBS_ALLOW_ANONYMOUS=true says that whoever reaches the port may do everything.
CMD ["dibs", "serve", "--host", "0.0.0.0", "--port", "8000", "--data", "/data"]
