"""The service with a model that reads images: routes, answers, images, and what strangers may not do."""

import base64
import json
import time

import pytest

from ita import Tagger
from ita.commands import predict
from tests.support import service, web
from tests.support.browser import browsing
from tests.support.service import together
from tests.support.web import Handler, body, picture, png

server, clean_slate = web.server, web.clean_slate
PHONE = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
POST = "🙂 b xc d <b>xa</b>"


@pytest.fixture
def image(pictured):
    """An image file that the model reads."""
    return (pictured.folder / "test-0.png").read_bytes()


def encoded(content):
    """Bytes for JSON."""
    return base64.b64encode(content).decode()


def test_answers_are_those_of_predict(served, pictured, image, tmp_path, capsys):
    """Entities, byte for byte, of texts, tokens, contexts, images and posts that cannot be read."""
    posts = [
        {"id": 1, "text": "b xc  d, xé 🙂 xa"},
        {"tokens": ["b", "xc", "xa"], "topic": "x"},
        {"text": "b xc", "context": ["man", "house"]},
        {"text": "b xc d xa", "image": "test-0.png"},
        {"text": 5},
        {"text": ""},
    ]
    (tmp_path / "posts.jsonl").write_text("".join(json.dumps(post) + "\n" for post in posts))
    run, file = str(pictured.run("image-text")), str(tmp_path / "posts.jsonl")
    assert predict.main([run, file, "--images", str(pictured.folder)]) == 0
    expected = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    sent = [{**post} for post in posts]
    del sent[3]["image"]
    sent[3]["image_base64"] = encoded(image)
    answer = served.tag(*sent)
    assert answer.status == 200 and answer.json["model"] == "pictured-tiny-image-text"
    written = [json.dumps(post.get("entities"), ensure_ascii=False) for post in answer.json["posts"]]
    assert written == [json.dumps(post.get("entities"), ensure_ascii=False) for post in expected]
    for post, same in zip(answer.json["posts"], expected, strict=True):
        assert post == {name: value for name, value in same.items() if name not in ("image", "line")}
    assert answer.json["posts"][3]["view"] == "it" and answer.json["posts"][4]["error"]
    single = served.post("/v1/tag", sent[0]).json["posts"]
    assert single == answer.json["posts"][:1]


def test_an_uploaded_image_says_what_it_said(served, pictured, image):
    (expected,) = Tagger.from_pretrained(pictured.run("image-text")).predict(
        [{"text": "b xc", "image": image}], explain=True
    )
    uploaded = served.upload(image, text="b xc", explain="true").json["posts"]
    assert uploaded == [json.loads(json.dumps(expected.to_dict()))] and uploaded[0]["image_text"]["objects"]
    in_json = served.tag({"text": "b xc", "image_base64": "data:image/png;base64," + encoded(image)}, explain=True)
    assert in_json.json["posts"] == uploaded
    unread = served.upload(image, text="b xc", view="t", explain="true").json["posts"][0]
    assert (unread["image_status"], unread["view"]) == ("unread", "t") and "image_text" not in unread


def test_images_that_are_refused_cost_only_themselves(served, server, image):
    """A bomb, no image, too many pixels, a path, a private address: the text is answered all the same."""
    Handler.replies = {"/a.png": body(image)}
    bomb = png((60000, 60000), 8, 2)
    posts = [
        {"text": "b xc", "image_base64": encoded(bomb)},
        {"text": "b xc", "image_base64": encoded(b"<svg/>")},
        {"text": "b xc", "image_url": "/etc/passwd"},
        {"text": "b xc", "image_url": f"{server}/a.png"},
        {"text": "b xc", "image_url": "http://169.254.169.254/latest/meta-data"},
        {"text": "b xc", "image_url": "http://[::1]:22/"},
        {"text": "b xc", "image_url": "file:///etc/passwd"},
        {"text": "b xc", "image_base64": encoded(image[:200])},
    ]
    answers = served.tag(*posts, {"text": "b xc"}).json["posts"]
    kinds = [answer.get("image_error", "").partition(":")[0] for answer in answers]
    private = ["private-address"] * 3
    assert kinds == ["too-many-pixels", "not-an-image", "path", *private, "bad-scheme", "truncated", ""]
    assert [answer.get("image_status") for answer in answers] == ["refused"] * 8 + [None]
    assert all(answer["entities"] == answers[-1]["entities"] for answer in answers) and not Handler.requests
    wrong = served.tag(
        {"text": "a", "image": "a.png"}, {"text": "a", "image_base64": "*"}, {"text": "a", "image_url": 7}
    ).json["posts"]
    assert ["image_url" in wrong[0]["error"], "base64" in wrong[1]["error"], "string" in wrong[2]["error"]] == [
        True
    ] * 3


def test_kserve(served):
    """The shapes of the Open Inference Protocol, version 2."""
    name = "pictured-tiny-image-text"
    assert served.get("/v2").json.keys() == {"name", "version", "extensions"}
    assert served.get("/v2/health/live").json == {"live": True} and served.get("/v2/health/ready").json == {
        "ready": True
    }
    metadata = served.get(f"/v2/models/{name}/versions/1").json
    assert metadata == served.get(f"/v2/models/{name}").json
    assert metadata.keys() == {"name", "versions", "platform", "inputs", "outputs"} and metadata["versions"] == ["1"]
    tensors = [*metadata["inputs"], *metadata["outputs"]]
    assert all(tensor.keys() == {"name", "datatype", "shape"} and tensor["shape"] == [-1] for tensor in tensors)
    assert served.get(f"/v2/models/{name}/ready").json == {"name": name, "ready": True}
    texts = {"name": "text", "shape": [2, 1], "datatype": "BYTES", "data": [["b xc"], ["xa"]]}
    contexts = {"name": "context", "shape": [2], "datatype": "BYTES", "data": ['["man"]', ""]}
    request = {"id": "42", "inputs": [texts, contexts], "outputs": [{"name": "entities"}, {"name": "view"}]}
    answer = served.post(f"/v2/models/{name}/infer", request).json
    assert answer.keys() == {"model_name", "model_version", "id", "outputs"} and answer["id"] == "42"
    entities, views = answer["outputs"]
    assert (entities["name"], entities["shape"], entities["datatype"]) == ("entities", [2], "BYTES")
    same = served.tag({"text": "b xc", "context": ["man"]}, {"text": "xa"}).json["posts"]
    assert [json.loads(cell) for cell in entities["data"]] == [post["entities"] for post in same]
    assert views["data"] == ["it", "t"]
    everything = served.post(f"/v2/models/{name}/versions/1/infer", {"inputs": [texts]}).json["outputs"]
    assert [tensor["name"] for tensor in everything] == [tensor["name"] for tensor in metadata["outputs"]]
    faults = [
        {"inputs": [{**texts, "datatype": "FP32"}]},
        {"inputs": [{**texts, "shape": [3]}]},
        {"inputs": [{**texts, "name": "words"}]},
        {"inputs": [texts, texts]},
        {"inputs": [contexts]},
        {"inputs": [texts, {**contexts, "shape": [1], "data": ["a"]}]},
        {"inputs": [texts], "outputs": [{"name": "logits"}]},
        {"inputs": [texts], "parameters": {"view": "x"}},
    ]
    answers = [served.post(f"/v2/models/{name}/infer", fault) for fault in faults]
    assert [answer.status for answer in answers] == [400] * 8
    assert all(isinstance(answer.json["error"], str) for answer in answers)
    missing = served.post("/v2/models/other/infer", {"inputs": [texts]})
    assert missing.status == 404 and name in missing.json["expected"]


def test_pages_and_metrics(served):
    page = served.get("/")
    assert page.status == 200 and "default-src 'none'" in page.headers["content-security-policy"]
    for path in ("/", "/docs", "/page.js", "/docs.js", "/page.css"):
        answer = served.get(path)
        assert answer.status == 200 and b"http://" not in answer.body and b"https://" not in answer.body, path
    description = served.get("/openapi.json").json
    assert {"/v1/tag", "/v1/upload", "/v2", "/v2/models/{name}/infer"} <= description["paths"].keys()
    before = {name: served.metric(f"ita_{name}_total") for name in ("posts", "tokens", "requests", "errors")}
    batches = served.metric("ita_batch_posts_sum")
    served.tag({"text": "b xc d"}, {"text": "b"})
    served.tag()
    after = {name: served.metric(f"ita_{name}_total") for name in before}
    assert after["posts"] == before["posts"] + 2 and after["tokens"] == before["tokens"] + 4
    assert after["requests"] >= before["requests"] + 2 and after["errors"] == before["errors"] + 1
    assert served.metric("ita_batch_posts_sum") == batches + 2 and served.metric("ita_queue_posts") == 0


def test_requests_that_are_none_of_ours(served):
    """Each answer is JSON with a code and what is expected, and the service goes on."""
    kind = {"Content-Type": "application/json"}
    tag = "/v1/tag"
    cases = {
        "wrong_content_type": served.request("POST", tag, b'{"text": "a"}', {"Content-Type": "text/plain"}),
        "invalid_json": served.request("POST", tag, b'{"text": ', kind),
        "invalid_request": served.request("POST", tag, b"[1, 2]", kind),
        "no_posts": served.tag(),
        "not_found": served.get("/admin/../../etc/passwd"),
        "wrong_method": served.request("DELETE", tag),
        "too_many_posts": served.tag(*[{"text": "a"}] * 129),
        "text_too_long": served.tag({"text": "a " * 2_501}),
    }
    assert {name: answer.json["code"] for name, answer in cases.items()} == {name: name for name in cases}
    statuses = [answer.status for answer in cases.values()]
    assert statuses == [415, 400, 422, 422, 404, 405, 413, 413]
    assert all("Traceback" not in answer.body.decode() for answer in cases.values())
    deep = [b"[" * count + b"]" * count for count in (101, 500, 20_000)]
    for text in (b"[" * 100_000, *deep, b'"\xff"', b"\x00", b'{"text": "a", "text": "b"}'):
        answer = served.request("POST", tag, b'{"text": "a", "x": ' + text + b"}", kind)
        assert (answer.status, answer.json["code"]) == (400, "invalid_json"), text[:20]
    odd = served.request("POST", tag, b'{"text": "a \\ud83d", "n": NaN, "big": ' + b"9" * 4000 + b"}", kind)
    assert odd.status in (200, 400) and "U+D83D" in odd.body.decode()
    assert served.upload(picture(), text="a", colour="red").json["code"] == "invalid_request"
    broken = served.request(
        "POST", "/v1/upload", b"--x\r\nnonsense", {"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert (broken.status, broken.json["code"]) == (400, "incomplete_form")
    assert served.tag({"text": "b"}).status == 200
    log = served.log.read_text()
    assert "Traceback" not in log and "POST /v1/tag 200" in log


def test_the_page_in_a_browser(served, pictured):
    file = pictured.folder / "test-0.png"
    (expected,) = Tagger.from_pretrained(pictured.run("image-text")).predict(
        [{"text": POST, "image": file.read_bytes()}], explain=True
    )
    assert expected.entities
    requests, faults = [], []
    with browsing(**PHONE) as page:
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"http://127.0.0.1:{served.port}/")
        page.get_by_label("Post").fill(POST)
        page.get_by_label("Picture (optional").set_input_files(str(file))
        page.get_by_alt_text("The picture of the post").wait_for()
        page.get_by_role("button", name="Find entities").click()
        page.locator("#answer").wait_for(state="visible")
        marks = page.locator("mark")
        shown = [marks.nth(number).inner_text() for number in range(marks.count())]
        assert shown == [
            f"{entity.surface} {entity.type} {round(100 * entity.score)} %" for entity in expected.entities
        ]
        assert page.locator("#marked b").count() == 0, "text is no HTML"
        said = page.locator("#image-text").inner_text()
        assert expected.image_text["objects"][0]["label"] in said
        assert all(caption["caption"] in said for caption in expected.image_text["captions"])
        assert f"{len(expected.entities)} entit" in page.get_by_role("status").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["viewport"]["width"]
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == "rgb(13, 17, 23)", "dark where the system is"
        page.get_by_role("button", name="Remove the picture").click()
        page.get_by_label("Post").fill("x " * 5_000)
        page.get_by_role("button", name="Find entities").click()
        page.get_by_role("alert").filter(has_text="at most 5000").wait_for()
        page.locator("#answer").wait_for(state="hidden")
        assert [fault for fault in faults if "413" not in fault] == []
        page.goto(f"http://127.0.0.1:{served.port}/docs")
        page.get_by_role("heading", name="POST /v1/tag").wait_for()
        assert page.get_by_text("image_base64").count()
    own = f"http://127.0.0.1:{served.port}/"
    assert all(url.startswith((own, "blob:", "data:")) for url in requests), "nothing is loaded from elsewhere"


def test_pictures_do_not_hold_up_texts(tesseract, pictured, tmp_path):
    """Reading a picture takes a second here; texts are answered meanwhile, and both lanes have their own bound."""
    image = (pictured.folder / "test-0.png").read_bytes()
    options = ["--threads", "1", "--max-queue-images", "1"]
    with service.running(pictured.run("image-text"), tmp_path / "log", *options, slow=True) as running:

        def pictured_post():
            return running.upload(image, text="b xc"), time.monotonic()

        def text():
            time.sleep(0.4)
            return running.tag({"text": "b xc"}), time.monotonic()

        def full():
            time.sleep(0.4)
            return running.upload(image, text="b xc")

        start = time.monotonic()
        (read, read_at), (tagged, tagged_at), refused = together(pictured_post, text, full)
        assert read.json["posts"][0]["image_status"] == "ok" and read_at - start > 1
        assert tagged.status == 200 and tagged_at < read_at and refused.status == 429
