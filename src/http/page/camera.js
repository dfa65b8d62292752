// The camera, where the browser gives one; else the phone's own camera app.

export function openCamera({ open, shoot, close, panel, video, onPhoto, onProblem }) {
  let stream;
  let isAsking = false; // a second camera that is opened meanwhile would never be closed

  open.addEventListener("click", async () => {
    // Browsers give the camera to pages from this machine or over https only.
    if (!navigator.mediaDevices?.getUserMedia) return askTheCameraApp(onPhoto);
    if (stream?.active) return shoot.focus();
    if (isAsking) return;
    isAsking = true;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch (error) {
      return onProblem(
        error.name === "NotAllowedError"
          ? "The browser did not allow this page to use the camera."
          : "No camera is available on this device.",
      );
    } finally {
      isAsking = false;
    }
    panel.hidden = false;
    video.srcObject = stream;
    await video.play();
    shoot.focus();
  });

  shoot.addEventListener("click", () => {
    if (!video.videoWidth) return; // the camera has not given a picture yet
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    const photo = (blob) => onPhoto(new File([blob], "camera.jpg", { type: "image/jpeg" }));
    canvas.toBlob(photo, "image/jpeg", 0.92);
  });

  close.addEventListener("click", () => {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
    panel.hidden = true;
    open.focus();
  });
}

function askTheCameraApp(onPhoto) {
  const input = document.createElement("input");
  input.type = "file";
  input.accept = "image/jpeg";
  input.capture = "environment";
  input.addEventListener("change", () => Array.from(input.files, onPhoto));
  input.click();
}
