FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md ./
COPY app ./app
RUN python -m venv /opt/dibs && /opt/dibs/bin/pip install --no-cache-dir --disable-pip-version-check .

FROM python:3.13-slim
# No shell, no package manager is needed at run time; the process owns nothing but its data.
RUN groupadd --system --gid 10001 dibs \
    && useradd --system --uid 10001 --gid dibs --home-dir /data --no-create-home --shell /usr/sbin/nologin dibs \
    && install --directory --owner=dibs --group=dibs --mode=0750 /data
COPY --from=build /opt/dibs /opt/dibs
ENV PATH=/opt/dibs/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER dibs
WORKDIR /data
EXPOSE 8000
STOPSIGNAL SIGTERM
# /readyz is 200 while hand-outs can be answered; urllib raises, and so exits with 1, for anything else.
HEALTHCHECK --interval=2s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
# Every host name may ask, since nobody knows here what this container is called. It starts with a token, mounted as a
# secret (DIBS_ADMIN_TOKEN_FILE), or one that `dibs token new --role admin --data /data` made in its volume; without
# one only where DIBS_ALLOW_ANONYMOUS=true says that whoever reaches the port may do everything.
CMD ["dibs", "serve", "--host", "0.0.0.0", "--port", "8000", "--data", "/data"]
