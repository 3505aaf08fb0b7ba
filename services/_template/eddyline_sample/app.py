"""Puts the sample service together: `app` alone, `service` as a part of standalone."""

from eddyline.service.app import Context, Service, module_app
from eddyline.service.registry import Example, Registration
from eddyline_sample.http.routes import SampleApi
from eddyline_sample.settings import SampleSettings


def service(context: Context, settings: SampleSettings) -> Service:
    return Service("sample", SampleApi(context, settings).routes())


SERVICE = Registration(
    "sample",
    SampleSettings,
    service,
    path="/sample",
    examples=(Example("Numbers, one by one", "curl -N {url}/sample"),),
)

create_app = SERVICE.create_app

__getattr__ = module_app(create_app)
