"""Says how Django and its REST framework read a request, on the WSGI server of the standard library. Takes the port."""

import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="interop",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"],
    REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": [], "UNAUTHENTICATED_USER": None},
    USE_TZ=True,
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import re_path  # noqa: E402
from rest_framework.exceptions import APIException  # noqa: E402
from rest_framework.views import APIView  # noqa: E402


class Echo(APIView):
    def handle(self, request, **_kwargs):
        try:
            data = request.data
        except APIException:
            data = None
        return JsonResponse(
            {
                "method": request.method,
                "path": request.path_info,
                "query": request.query_params.dict(),
                "form": request.POST.dict() if hasattr(request.POST, "dict") else {},
                "json": data if isinstance(data, (dict, list)) and not hasattr(data, "dict") else None,
                "headers": {name: value for name, value in request.META.items() if name.startswith("HTTP_")},
            }
        )

    get = post = put = delete = handle


urlpatterns = [re_path(r"^.*$", Echo.as_view())]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_args):
        pass


make_server("127.0.0.1", int(sys.argv[1]), get_wsgi_application(), handler_class=Quiet).serve_forever()
