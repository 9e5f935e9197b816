"""A small certificate authority, made by openssl on the spot."""
import pathlib
import subprocess


def _openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


class Authority:
    def __init__(self, directory, name):
        self.directory, self.name = pathlib.Path(directory), name
        self.certificate, self.key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 30,
                 "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.certificate)

    def issue(self, name, alternatives="", days=30):
        """(certificate, key); alternatives e.g. "DNS:collector.test,IP:127.0.0.1"; days 0: expired a second later."""
        base = self.directory / f"{self.name}-{name}"
        request, certificate, key = base.with_suffix(".csr"), base.with_suffix(".pem"), base.with_suffix(".key")
        _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                 f"/CN={name}", "-keyout", key, "-out", request)
        extensions = base.with_suffix(".ext")
        extensions.write_text(f"subjectAltName={alternatives}\n" if alternatives else "")
        _openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
                 "-days", days, "-extfile", extensions, "-out", certificate)
        return certificate, key
