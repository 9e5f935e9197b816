"""What these tests ask a running service beyond harness.Gateway."""
import harness


def component(gateway, service, name):
    """(state, detail) of a component; ("", "") without an answer."""
    status = gateway.status(service)
    for c in status.components if status else ():
        if c.name == name:
            return c.state, c.detail
    return "", ""


def wait_component(gateway, service, name, *words, timeout=15):
    """Until state or detail has one of the words; returns "state: detail"."""
    seen = []

    def there():
        text = ": ".join(component(gateway, service, name))
        if text not in seen[-1:]:
            seen.append(text)
        return text if any(word in text for word in words) else None
    return harness.wait_for(there, timeout, lambda: f"{service} {name} never said {words}, but {seen[-8:]}",
                            interval=0.01)


def pids(gateway, *more):
    return {service: gateway.pid(service) for service in [*gateway.services, "watchdog", *more]}


def peak_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
